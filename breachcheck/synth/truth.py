"""What each identifier of the leak exposes, by the rule of people.

Rows that share a valid CIN or CNSS number, directly or through other rows, are about one person, in whichever file they
stand. Each such number exposes what stands in all rows of its person. A phone, an address or an account exposes what
stands in the rows that hold it, and if all of these that are about anybody are about one person, then all of that
person's; if they are about several it is shared. A number that stands for nobody, a placeholder, is shared and makes no
row about anybody.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

from breachcheck.synth.population import Population

# A person's linking numbers.
CIN, CNSS, NEW_CNSS = range(3)

# What a person's rows tie together, as bits of `Truth.ties`. Of a weak identifier three bits say with which of the
# person's linking numbers it stands in a row, by the shift of the first.
CIN_TO_CNSS, CIN_TO_NEW_CNSS, NEXT_CIN_TO_CNSS, NEXT_CIN_TO_NEW_CNSS = (1 << bit for bit in range(4))
PHONE, RIB, EMAIL, CONTACT_PHONE, CONTACT_EMAIL, SECOND_RIB = range(4, 22, 3)
NEXT_HOLDS_RIB: Final = 1 << 22  # it stands in a row with the CIN of the next person
_TO_NEXT: Final = NEXT_CIN_TO_CNSS | NEXT_CIN_TO_NEW_CNSS

SECOND_SHIFT: Final = 16  # of the mask of the second file's fields
_Group = tuple[int, int]  # of linking numbers of one person: which, and the mask of all their rows


class Truth:
    """The masks of data classes of each identifier's own rows, by number of person or employer, and what ties them.

    A mask is 0 if the identifier stands nowhere. With `second`, the fields of the second file stand `SECOND_SHIFT` bits
    above those of the first. 16 bytes a person, 32 with `second`.
    """

    def __init__(self, population: Population, *, second: bool) -> None:
        def masks(count: int) -> array[int]:
            empty = array("I" if second else "H")
            return array(empty.typecode, bytes(empty.itemsize * count))

        everybody = population.everybody
        self._population = population
        self.cin, self.cnss, self.new_cnss, self.phone, self.rib, self.email = (masks(everybody) for _ in range(6))
        self.second_rib = masks(everybody if second else 0)
        self.contact_phone, self.contact_email = (masks(population.employers) for _ in range(2))
        self.placeholder_cin = self.placeholder_cnss = 0
        self.ties = array("I", bytes(4 * everybody))
        self._run: tuple[range, list[_Group]] = (range(0), [])

    def groups(self, person: int) -> tuple[_Group, _Group, _Group]:
        """Return the groups of the person's CIN, CNSS number, and new CNSS number."""
        ties = self.ties[person]
        if ties & _TO_NEXT or (person and self.ties[person - 1] & _TO_NEXT):
            return self._groups_of_run(person)
        cin, cnss, new_cnss = self.cin[person], self.cnss[person], self.new_cnss[person]
        first = 3 * person
        match ties & (CIN_TO_CNSS | CIN_TO_NEW_CNSS):
            case 0:
                return (first, cin), (first + CNSS, cnss), (first + NEW_CNSS, new_cnss)
            case 1:
                one = (first, cin | cnss)
                return one, one, (first + NEW_CNSS, new_cnss)
            case 2:
                one = (first, cin | new_cnss)
                return one, (first + CNSS, cnss), one
            case _:
                one = (first, cin | cnss | new_cnss)
                return one, one, one

    def _groups_of_run(self, person: int) -> tuple[_Group, _Group, _Group]:
        """Return what `groups` does, of a person whose rows are tied to those of neighbours."""
        run, groups = self._run
        if person not in run:
            first = end = person
            while first and self.ties[first - 1] & _TO_NEXT:
                first -= 1
            while self.ties[end] & _TO_NEXT:
                end += 1
            run = range(first, end + 1)
            groups = self._join(run)
            self._run = run, groups
        place = 3 * (person - run.start)
        return groups[place], groups[place + CNSS], groups[place + NEW_CNSS]

    def _join(self, run: range) -> list[_Group]:
        group = list(range(3 * run.start, 3 * run.stop))

        def tie(one: int, other: int) -> None:
            old, new = group[other], group[one]
            group[:] = (new if each == old else each for each in group)

        for place, person in enumerate(run):
            ties, cin = self.ties[person], 3 * place
            for bit, one, other in (
                (CIN_TO_CNSS, cin, cin + CNSS),
                (CIN_TO_NEW_CNSS, cin, cin + NEW_CNSS),
                (NEXT_CIN_TO_CNSS, cin + 3, cin + CNSS),
                (NEXT_CIN_TO_NEW_CNSS, cin + 3, cin + NEW_CNSS),
            ):
                if ties & bit:
                    tie(one, other)
        masks: dict[int, int] = dict.fromkeys(group, 0)
        own = (mask for person in run for mask in (self.cin[person], self.cnss[person], self.new_cnss[person]))
        for number, mask in zip(group, own, strict=True):
            masks[number] |= mask
        return [(number, masks[number]) for number in group]

    def with_person(self, own: int, person: int, shift: int) -> tuple[int, bool]:
        """Return the mask of a weak identifier of the person's, and whether it is shared; `own` is of its rows."""
        ties = self.ties[person]
        groups = self._held(person, shift)
        if shift == RIB and ties & NEXT_HOLDS_RIB:
            groups.append(self.groups(person + 1)[CIN])
        return _with_groups(own, groups)

    def with_people(self, own: int, employer: int, shift: int) -> tuple[int, bool]:
        """Return the mask of a contact of the employer's, and whether it is shared; `own` is of its rows."""
        people = self._population.people_of(employer)
        return _with_groups(own, (group for person in people for group in self._held(person, shift)))

    def _held(self, person: int, shift: int) -> list[_Group]:
        held = self.ties[person] >> shift & 7
        return [group for bit, group in enumerate(self.groups(person)) if held >> bit & 1] if held else []


def _with_groups(own: int, groups: Iterable[_Group]) -> tuple[int, bool]:
    several = set(groups)
    if len(several) > 1:
        return own, True
    for _, mask in several:
        return own | mask, False
    return own, False
