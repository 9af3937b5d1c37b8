"""Who stands in the synthetic leak: clean values by person, and numbers that are nobody's."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Mapping
from typing import Final

from breachcheck.errors import InputError
from breachcheck.synth.spellings import Address, BirthDate, Name

MAX_PEOPLE: Final = 50_000_000  # what the seven digits of an employer's number hold, seven employers to forty people

MONTHS: Final = 12
MAX_MONTHS: Final = 120
PERIODS: Final = tuple(f"{2024 + month // 12}{month % 12 + 1:02d}" for month in range(MAX_MONTHS))


_FIRST_NAMES: Final[tuple[tuple[str, ...], ...]] = (
    ("MOHAMED", "MOHAMMED", "محمد"),
    ("AHMED", "AHMAD", "أحمد"),
    ("YOUSSEF", "YOUSEF", "يوسف"),
    ("KHALID", "KHALED", "خالد"),
    ("ABDELLAH", "ABDALLAH", "عبد الله"),
    ("MUSTAPHA", "MOSTAFA", "مصطفى"),
    ("SAID", "SAÏD", "سعيد"),
    ("HAMZA", "حمزة"),
    ("MEHDI", "EL MEHDI", "المهدي"),
    ("KARIM", "كريم"),
    ("BRAHIM", "IBRAHIM", "إبراهيم"),
    ("M'HAMED", "MHAMED", "امحمد"),
    ("FATIMA", "FATMA", "فاطمة"),
    ("FATIMA ZAHRA", "FATIMA-ZAHRA", "فاطمة الزهراء"),
    ("KHADIJA", "KHADIDJA", "خديجة"),
    ("AICHA", "AÏCHA", "عائشة"),
    ("MERYEM", "MARIAM", "مريم"),
    ("NADIA", "نادية"),
    ("NAIMA", "NAÏMA", "نعيمة"),
    ("ZINEB", "ZAINAB", "زينب"),
)
_FAMILY_NAMES: Final[tuple[tuple[str, ...], ...]] = (
    ("ALAOUI", "EL ALAOUI", "العلوي"),
    ("AMRANI", "EL AMRANI", "العمراني"),
    ("IDRISSI", "EL IDRISSI", "الإدريسي"),
    ("TAZI", "التازي"),
    ("FASSI", "EL FASSI", "الفاسي"),
    ("BERRADA", "برادة"),
    ("BENJELLOUN", "BEN JELLOUN", "بنجلون"),
    ("EL MANSOURI", "MANSOURI", "المنصوري"),
    ("OUAZZANI", "WAZZANI", "الوزاني"),
    ("AIT LAHCEN", "AITLAHCEN", "آيت لحسن"),
    ("OUBELLA", "أوبلا"),
    ("HADDAD", "EL HADDAD", "الحداد"),
    ("SQALLI", "الصقلي"),
    ("BELKADI", "بلقاضي"),
    ("CHERKAOUI", "الشرقاوي"),
    ("FILALI", "EL FILALI", "الفيلالي"),
    ("SABRI", "صبري"),
    ("TAHIRI", "الطاهري"),
)
_LOCAL_PARTS: Final = {name: "".join(filter(str.isalpha, name[0])).lower() for name in (*_FIRST_NAMES, *_FAMILY_NAMES)}
_TRADES: Final = ("TRANSPORT", "TEXTILE", "CONSERVES", "BATIMENT", "CONSEIL", "NEGOCE", "HOTEL", "AGRICOLE", "SECURITE")
_SUFFIXES: Final = ("SARL", "SARL AU", "SA", "SNC")
_CIN_TEXT: Final = (
    "A AA AB AD AE B BB BE BH BJ BK BL BM BW C CB CC CD CN D DA DB DC DJ DN DO E EA EB EC EE F FA FB FC FH FL G GA GB "
    "GM GN H HA HH I IA IB IC ID IE J JA JB JC JE JF JH JK JM JT K KA KB L LA LB LC LE LG M MA MC MD N O OD P PA PB Q "
    "QA R RB RC S SA SH SJ SL T TA TK U UA UB UC V VA W WA WB X XA Y Z ZG ZT"
)
_CIN_LETTERS: Final = tuple(_CIN_TEXT.split())
_BANKS: Final = ("007", "011", "013", "021", "022", "050", "145", "157", "164", "190", "225", "230", "310", "350")
_TOWNS: Final = ("010", "090", "170", "270", "330", "450", "480", "570", "640", "660", "780", "810")
_CITIES: Final = (
    ("RABAT", "الرباط"),
    ("CASABLANCA", "الدار البيضاء"),
    ("FES", "فاس"),
    ("AGADIR", "أكادير"),
    ("TANGER", "طنجة"),
)
_DOMAINS: Final = ("example.com", "example.org", "example.net", "courrier.example", "boite.example")

# Employers come in blocks of forty people: two of one person, then two, three, five, eight and twenty.
_EMPLOYER_SIZES: Final = (1, 1, 2, 3, 5, 8, 20)
_PLACES: Final = tuple(number for number, size in enumerate(_EMPLOYER_SIZES) for _ in range(size))

# How many of a hundred people stand in 1, 2 ... 12 months: 4.25 rows on average.
_ROWS_OF_HUNDRED: Final = (18, 17, 15, 13, 10, 7, 5, 4, 3, 2, 2, 4)
_ROW_COUNTS: Final = tuple(count for count, weight in enumerate(_ROWS_OF_HUNDRED, 1) for _ in range(weight))

# A person's profile, 64 bits: a bit a month, these flags, then bits that choose name, bank, town and salary.
NO_PHONE, NO_EMAIL, NO_RIB, NO_CIN, NO_SALARY, SHARED_PHONE, SHARED_EMAIL, RENUMBERED, CONFUSED = (
    1 << MONTHS + position for position in range(9)
)
PLACEHOLDER_CIN, PLACEHOLDER_CNSS = (1 << MONTHS + position for position in (9, 10))
_TRAITS: Final = MONTHS + 11
# With the gaps of the tables: of all cells, phone is missing in 15 %, e-mail in 60, RIB in 30, CIN in 5, salary in 16.
_FLAGS: Final = (
    (NO_PHONE, 0.10),
    (NO_EMAIL, 0.50),
    (NO_RIB, 0.20),
    (NO_CIN, 0.02),
    (NO_SALARY, 0.05),
    (SHARED_PHONE, 0.20),
    (SHARED_EMAIL, 0.35),
    (RENUMBERED, 0.02),  # has had two CNSS numbers
    (CONFUSED, 0.003),  # some of the rows hold the CIN of the next person
)
_CHAIN: Final = (4_000, 600, 612)  # of so many people, those from here to here are all confused with the next

# Who knows no number writes one that looks valid. It must stand with more than 16 people's numbers, or it is not told
# from a person's: of 110 who write it always, all but ten have a valid number beside it at least once.
PLACEHOLDERS_FROM: Final = 1_000  # people
_PLACEHOLDER_WRITERS: Final = 110
_PLACEHOLDER_PERIOD: Final = 50
_PLACEHOLDER_CINS: Final = (("AA", "000001"), ("A", "001234"), ("X", "000123"))  # members' have five digits and more
_PLACEHOLDER_CNSS: Final = ("000123456", "000001111", "000012345")  # members' are 1000000 and more

BOTH_EMPLOYER_CELLS_MISSING: Final = 0.03
NEW_NUMBER: Final = 0.5  # of the rows of a person who was renumbered
NEXT_CARD: Final = 0.5  # of the rows of a person who is confused with the next
CONTACT_INSTEAD: Final = 0.7  # of the rows of a person for whom the employer gave the manager's contact
DUPLICATED: Final = 0.02

# The ranges that members are drawn from, and above or beside them those of `nonmember`.
_MOBILES: Final = (600_000_000, 200_000_000)  # first, size: 06 and 07
_FIXED_LINES: Final = (520_000_000, 20_000_000)  # 0520 to 0539
_CNSS_NUMBERS: Final = (1_000_000, 899_000_000)  # one in nine begins with a zero
_CIN_NUMBERS: Final = (10_000, 990_000)  # five and six digits: room for the zero of the eight-character format
_ACCOUNTS: Final = (0, 9 * 10**15)
_MAILBOXES: Final = (1, 10**8)
_AFFILIATIONS: Final = (1, 9_999_999)
_NO_CIN_LETTERS: Final = "ZZ"
_NO_DOMAIN: Final = "absent.example"


def _with_key(bank: str, town: str, account: int) -> str:
    """Return the 24 digits: the key makes the whole number a multiple of 97."""
    body = f"{bank}{town}{account:016d}"
    return f"{body}{97 - int(body) * 100 % 97:02d}"


def coprime(rng: random.Random, size: int) -> int:
    """Return a random number below `size`, or 0 for 1, that shares no factor with it."""
    while True:
        if math.gcd(number := rng.getrandbits(64) % size, size) == 1:
            return number


def _scatter(rng: random.Random, first: int, size: int) -> Callable[[int], int]:
    """Return a seeded one-to-one mapping of 0 ... size-1 onto first ... first+size-1."""
    factor, offset = coprime(rng, size), rng.getrandbits(64) % size
    return lambda number: first + (number * factor + offset) % size


class Population:
    """Everyone's clean values, computed from the number of the person or of the employer.

    People are numbered from 0; behind them stand `others`, whom no employer declares.
    """

    def __init__(self, people: int, rng: random.Random, others: int = 0) -> None:
        self.people = people
        self.everybody = people + others
        self.employers = self.employer(people - 1) + 1
        self._mobile = _scatter(rng, *_MOBILES)
        self._fixed_line = _scatter(rng, *_FIXED_LINES)
        self._cnss = _scatter(rng, *_CNSS_NUMBERS)
        self._cin = _scatter(rng, 0, len(_CIN_LETTERS) * _CIN_NUMBERS[1])
        self._account = _scatter(rng, *_ACCOUNTS)
        self._mailbox = _scatter(rng, *_MAILBOXES)
        self._affiliation = _scatter(rng, *_AFFILIATIONS)
        self._no_cin = _PLACEHOLDER_CINS[int(rng.random() * len(_PLACEHOLDER_CINS))]
        self._no_cnss = _PLACEHOLDER_CNSS[int(rng.random() * len(_PLACEHOLDER_CNSS))]
        self.profiles = array("Q", (self._profile(rng, person) for person in range(self.everybody)))

    def _profile(self, rng: random.Random, person: int) -> int:
        count = _ROW_COUNTS[int(rng.random() * 100)]
        start = int(rng.random() * (MONTHS + 1 - count))
        profile = ((1 << count) - 1) << start
        for flag, share in _FLAGS:
            if rng.random() < share:
                profile |= flag
        if self.people >= PLACEHOLDERS_FROM and person < self.people:
            of, first, end = _CHAIN
            place = person % min(_PLACEHOLDER_PERIOD, self.people // _PLACEHOLDER_WRITERS)
            if first <= person % of < end:
                profile |= CONFUSED
            elif place in (3, 7):
                profile = profile & ~CONFUSED | (PLACEHOLDER_CIN if place == 3 else PLACEHOLDER_CNSS)
        return profile | rng.getrandbits(64 - _TRAITS) << _TRAITS

    def name(self, person: int) -> Name:
        """Return the person's names, each in every spelling."""
        traits = self.profiles[person] >> _TRAITS
        first, family = traits & 255, traits >> 8 & 255
        return _FIRST_NAMES[first % len(_FIRST_NAMES)], _FAMILY_NAMES[family % len(_FAMILY_NAMES)]

    def salary(self, person: int) -> int:
        """Return the monthly base in dirhams: the cube makes small ones many and large ones few."""
        share = (self.profiles[person] >> _TRAITS + 16 & 1023) / 1024
        return 2_900 + int(40_000 * share**3)

    def phone(self, person: int, /) -> str:
        """Return the nine digits of the person's mobile."""
        return str(self._mobile(person))

    def cnss(self, person: int, /) -> str:
        """Return the nine digits of the person's CNSS number."""
        return f"{self._cnss(person):09d}"

    def new_cnss(self, person: int, /) -> str:
        """Return the number that a person got who was renumbered."""
        return f"{self._cnss(self.everybody + person):09d}"

    def no_cnss(self, _: int = 0, /) -> str:
        """Return the nine digits that are written for whoever has no number."""
        return self._no_cnss

    def no_cin(self, _: int = 0, /) -> tuple[str, str]:
        """Return letters and digits that are written for whoever has no card."""
        return self._no_cin

    def cin(self, person: int, /) -> tuple[str, str]:
        """Return letters and digits of the person's CIN."""
        letters, number = divmod(self._cin(person), _CIN_NUMBERS[1])
        return _CIN_LETTERS[letters], str(_CIN_NUMBERS[0] + number)

    def rib(self, person: int) -> str:
        """Return the 24 digits of the person's account."""
        return self._rib(person, self._account(person))

    def second_rib(self, person: int) -> str:
        """Return the 24 digits of another account of the person's, at the same bank."""
        return self._rib(person, self._account(self.everybody + person))

    def _rib(self, person: int, account: int) -> str:
        traits = self.profiles[person] >> _TRAITS + 26
        bank, town = traits & 255, traits >> 8 & 127
        return _with_key(_BANKS[bank % len(_BANKS)], _TOWNS[town % len(_TOWNS)], account)

    def bank(self, person: int) -> str:
        """Return the name of the person's bank."""
        return f"BANQUE EXEMPLE {_BANKS[(self.profiles[person] >> _TRAITS + 26 & 255) % len(_BANKS)]}"

    def address(self, person: int) -> Address:
        """Return the person's address, in French and in Arabic."""
        traits = self.profiles[person] >> _TRAITS
        house, street = 1 + (traits & 127), traits >> 7 & 1023
        french, arabic = _CITIES[(traits >> 17) % len(_CITIES)]
        return f"{house} RUE EXEMPLE {street}, {french}", f"{house} شارع المثال {street}، {arabic}"

    def birth_date(self, person: int) -> BirthDate:
        """Return year, month and day."""
        traits = self.profiles[person] >> _TRAITS
        return 1955 + (traits >> 9) % 50, 1 + (traits >> 3) % 12, 1 + traits % 28

    def email(self, person: int, /) -> str:
        """Return the person's address."""
        first, family = self.name(person)
        # The number is what makes it unique: no name holds a digit.
        return f"{_LOCAL_PARTS[first]}.{_LOCAL_PARTS[family]}{self._mailbox(person)}@{_DOMAINS[person % len(_DOMAINS)]}"

    @staticmethod
    def employer(person: int) -> int:
        """Return the number of the person's employer."""
        block, place = divmod(person, len(_PLACES))
        return block * len(_EMPLOYER_SIZES) + _PLACES[place]

    def people_of(self, employer: int) -> range:
        """Return the numbers of an employer's people."""
        block, place = divmod(employer, len(_EMPLOYER_SIZES))
        first = block * len(_PLACES) + sum(_EMPLOYER_SIZES[:place])
        return range(first, min(first + _EMPLOYER_SIZES[place], self.people))

    def affiliation(self, employer: int, /) -> str:
        """Return the seven digits of an employer."""
        return f"{self._affiliation(employer):07d}"

    def employer_name(self, employer: int, /) -> str:
        """Return a name: one in three needs quoting in CSV, one in eleven is Arabic."""
        trade, suffix = _TRADES[employer % len(_TRADES)], _SUFFIXES[employer % len(_SUFFIXES)]
        match employer % 11:
            case 2:
                return f"{trade} EXEMPLE {employer}; FILS ET CIE"
            case 4:
                return f"{trade} EXEMPLE {employer}\n{suffix}"
            case 6:
                return f'{trade} "EXEMPLE" {employer}'
            case 8:
                return f'"EXEMPLE {employer}";\r\n{suffix}'
            case 10:
                return f"شركة المثال {employer}"
            case _:
                return f"{trade} EXEMPLE {employer} {suffix}"

    def contact_phone(self, employer: int, /) -> str:
        """Return the nine digits of an employer's manager's phone."""
        # Behind everybody's own number: a manager's mobile is no employee's.
        return str(self._fixed_line(employer) if employer % 2 else self._mobile(self.people + employer))

    def contact_email(self, employer: int, /) -> str:
        """Return an employer's manager's address."""
        return f"gerant@societe{self._affiliation(employer)}.example"


_NON_MEMBERS: Final[Mapping[str, tuple[int, Callable[[int], str]]]] = {
    "national_id": (_CIN_NUMBERS[1], lambda index: f"{_NO_CIN_LETTERS}{_CIN_NUMBERS[0] + index}"),
    "social_security": (10**9 - sum(_CNSS_NUMBERS), lambda index: str(sum(_CNSS_NUMBERS) + index)),
    "phone": (10**8, lambda index: f"08{index:08d}"),
    "bank_account": (10**16 - sum(_ACCOUNTS), lambda index: _with_key(_BANKS[0], _TOWNS[0], sum(_ACCOUNTS) + index)),
    "email": (10**9, lambda index: f"personne{index}@{_NO_DOMAIN}"),
}


def nonmember(kind: str, index: int) -> str:
    """Return the valid identifier number `index` of the kind, of which no synthetic leak ever holds one.

    Members are drawn from other ranges: CIN never has the letters ZZ, CNSS numbers are below 900000000, phones begin
    with 052, 053, 06 or 07 and never with 08, account numbers of a RIB never begin with 9, no e-mail stands under
    absent.example. Different indices give different identifiers.

    Raises:
        InputError: `unknown_kind`, or `out_of_range` for an index below 0 or past the kind's range: the smallest range
            is national_id's, 0 to 989999.
    """
    if kind not in _NON_MEMBERS:
        raise InputError("unknown_kind", f"known are {', '.join(_NON_MEMBERS)}")
    size, spell = _NON_MEMBERS[kind]
    if not 0 <= index < size:
        raise InputError("out_of_range", f"non-members of this kind are numbered from 0 to {size - 1}")
    return spell(index)
