"""What the pages say of kinds, fields and reasons, in English; the catalogues in `locales/` hold the other languages.

Whoever adds a kind, a data class or a reason adds its words here: a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from breachcheck.exposure import DataClass, Reason


def N_(message: str) -> str:  # noqa: N802 - gettext's name
    """Mark a message for extraction; it is translated where it is shown."""
    return message


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of identifier is asked for.

    `digits` is the count that a whole number has, or 0 where it varies; `inputmode` chooses the keyboard of a phone.
    """

    short: str
    label: str
    example: str
    where: str
    expected: str
    inputmode: str
    digits: int = 0


KINDS: Final[Mapping[str, Kind]] = {
    "national_id": Kind(
        short=N_("Identity card"),
        label=N_("Your national identity card number (CIN)"),
        example="AB123456",
        where=N_("It is on the front of the card: one or two letters, then digits. Not the long lines on the back."),
        expected=N_("It has one or two letters, then up to 7 digits."),
        inputmode="text",
    ),
    "social_security": Kind(
        short=N_("CNSS number"),
        label=N_("Your CNSS registration number"),
        example="123456789",
        where=N_("It is on your CNSS card and on your payslip. It is not your employer’s number, which has 7 digits."),
        expected=N_("It has 9 digits."),
        inputmode="numeric",
        digits=9,
    ),
    "phone": Kind(
        short=N_("Phone"),
        label=N_("Your phone number"),
        example="06 00 00 00 00",
        where=N_("A Moroccan number, as you give it to your employer. With or without +212: both work."),
        expected=N_("It has 10 digits and begins with 05, 06, 07 or 08."),
        inputmode="tel",
        digits=10,
    ),
    "bank_account": Kind(
        short=N_("Bank account"),
        label=N_("Your bank account number (RIB)"),
        example="001 810 0078000201106203 18",
        where=N_(
            "It is on the RIB slip of your chequebook and in your bank’s app. If it begins with MA64, leave that out."
        ),
        expected=N_("It has 24 digits."),
        inputmode="numeric",
        digits=24,
    ),
    "email": Kind(
        short=N_("E-mail"),
        label=N_("Your e-mail address"),
        example="name@example.com",
        where=N_("The address that you gave to your employer or to the fund."),
        expected=N_("It looks like name@example.com, in Latin letters."),
        inputmode="email",
    ),
    "fr_social_security": Kind(
        short=N_("French social security"),
        label=N_("Your French social security number (NIR)"),
        example="255081416802538",
        where=N_(
            "It is on your Carte Vitale and on your payslip. With or without the two digits of the key at its end."
        ),
        expected=N_("It has 13 digits, or 15 with the key; A or B stands in it for Corsica."),
        inputmode="text",
    ),
    "fr_phone": Kind(
        short=N_("French phone"),
        label=N_("Your French phone number"),
        example="06 12 34 56 78",
        where=N_("A number of France. With or without +33: both work."),
        expected=N_("It has 10 digits and begins with 01 to 07 or 09."),
        inputmode="tel",
        digits=10,
    ),
    "fr_bank_account": Kind(
        short=N_("French bank account"),
        label=N_("Your French bank account number (IBAN or RIB)"),
        example="FR14 2004 1010 0505 0001 3M02 606",
        where=N_("It is on the RIB slip of your bank and in its app."),
        expected=N_("It is FR and 25 characters more, or the 23 of the RIB."),
        inputmode="text",
    ),
    "au_phone": Kind(
        short=N_("Australian phone"),
        label=N_("Your Australian phone number"),
        example="0491 570 156",
        where=N_("A number of Australia, with its area code. With or without +61: both work."),
        expected=N_("It has 10 digits and begins with 02, 03, 04, 07 or 08."),
        inputmode="tel",
        digits=10,
    ),
    "au_passport": Kind(
        short=N_("Australian passport"),
        label=N_("Your Australian passport number"),
        example="PA1234567",
        where=N_("It is on the page of the passport that has your photo."),
        expected=N_("It has one or two letters, then 7 digits."),
        inputmode="text",
    ),
}

# What a form offers where no release says which kinds it has.
HOME: Final = ("national_id", "social_security", "phone", "bank_account", "email")

# Why a text is not an identifier: the reasons of `protocol.identifier`. `format` is told by the kind's `expected`.
INVALID: Final[Mapping[str, str]] = {
    "empty": N_("Nothing was typed."),
    "too_long": N_("It is too long."),
    "unexpected_character": N_("It holds a sign that does not belong there."),
    "spreadsheet_number": N_(
        "It looks like a number that a spreadsheet has changed. Copy it from the card or the paper."
    ),
    "format": N_("It is too short, too long, or begins differently."),
    "check_digits": N_(
        "One digit at least is wrong: the last two do not fit the others. Please compare it with the paper."
    ),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A data class in plain words, and at most three steps of advice."""

    name: str
    steps: tuple[str, ...]


# Legal: the advice is to be reviewed by a Moroccan lawyer before use.
FIELDS: Final[Mapping[DataClass, Field]] = {
    DataClass.GOVERNMENT_ISSUED_IDS: Field(
        N_("National identity card number"),
        (
            N_("Ask your phone operator which SIM cards are in your name. Have those you do not know cancelled."),
            N_("Ask for your credit bureau report: it shows whether someone took a loan in your name."),
            N_("Do not send a photo of your card by message, even to someone who knows its number."),
        ),
    ),
    DataClass.SOCIAL_SECURITY_NUMBERS: Field(
        N_("CNSS registration number"),
        (
            N_("Look at your declared months and your payments, on the CNSS portal or at a CNSS office."),
            N_("Give your portal password to nobody, not even to someone who knows your CNSS number."),
        ),
    ),
    DataClass.BANK_ACCOUNT_NUMBERS: Field(
        N_("Bank account number (RIB)"),
        (
            N_("A RIB alone does not let anyone withdraw cash. But watch the debits on your account."),
            N_("Ask your bank in writing to refuse direct debits that you did not agree to."),
            N_("If you see a debit that you do not know, tell your bank at once, in writing."),
        ),
    ),
    DataClass.PHONE_NUMBERS: Field(
        N_("Phone number"),
        (
            N_(
                "If a caller in the name of the CNSS or your bank asks for a RIB or a code, it is an impostor: hang up."
            ),
            N_("Never give anyone a code that you received by SMS."),
            N_("Call back only on a number that you looked up yourself, on your card or at the office."),
        ),
    ),
    DataClass.NAMES: Field(
        N_("Name"),
        (N_("A caller who knows your name does not know you for that. Ask who they are, and call back yourself."),),
    ),
    DataClass.EMPLOYERS: Field(
        N_("Employer"),
        (N_("Be careful with messages that speak of your work: ask your employer directly whether they are real."),),
    ),
    DataClass.EARNINGS: Field(
        N_("Salary"),
        (
            N_("Do not answer offers of a loan or an investment that quote your salary."),
            N_("Nobody needs to confirm your salary by phone. Say nothing about it."),
        ),
    ),
    DataClass.DATES_OF_BIRTH: Field(
        N_("Date of birth"),
        (
            N_("If your date of birth is a code or a password somewhere, change it there."),
            N_("Do not let it prove that a caller is genuine: others may know it now."),
        ),
    ),
    DataClass.EMAIL_ADDRESSES: Field(
        N_("E-mail address"),
        (
            N_("Do not open links or files in messages about this leak. Type the address of the site yourself."),
            N_("Choose a new password for your mailbox, one that you use nowhere else."),
            N_("Switch on two-step verification if your mailbox offers it."),
        ),
    ),
    DataClass.PHYSICAL_ADDRESSES: Field(
        N_("Home address"),
        (
            N_("If someone comes to your door for a bank or an office, ask there first, by a number you looked up."),
            N_("Read letters about contracts that you did not sign, and answer in writing that you did not."),
        ),
    ),
    DataClass.GENDERS: Field(
        N_("Gender"),
        (N_("This alone calls for nothing. It can make a false call sound more genuine."),),
    ),
    DataClass.MARITAL_STATUSES: Field(
        N_("Family situation"),
        (N_("Be careful with calls or messages about your family: check with your family first."),),
    ),
    DataClass.JOB_TITLES: Field(
        N_("Occupation"),
        (N_("Be careful with messages that speak of your work: ask your employer directly whether they are real."),),
    ),
    DataClass.PASSPORT_NUMBERS: Field(
        N_("Passport number"),
        (
            N_("Tell the office that issued your passport, and ask whether it should be replaced."),
            N_("Do not send a photo of your passport by message."),
        ),
    ),
    DataClass.HEALTH_INSURANCE_INFORMATION: Field(
        N_("Health insurance"),
        (
            N_(
                "Look at your reimbursements. If you see care that you did not receive, tell your insurance in writing."
            ),
            N_("Your insurance does not ask for a code or a bank card by phone: hang up."),
        ),
    ),
    DataClass.NATIONALITIES: Field(
        N_("Nationality"),
        (N_("This alone calls for nothing. It can make a false call sound more genuine."),),
    ),
}

# What helps when a check could not be made; several reasons share a remedy.
REMEDIES: Final[Mapping[str, str]] = {
    "again": N_("Please check again."),
    "connection": N_("Look whether you are connected to the Internet, then check again."),
    "later": N_("The fault is ours, not yours. Please come back later and check again."),
    "maintenance": N_("Please come back when the maintenance is over, and check again."),
    "wait": N_("Please wait, then check again. Many people may share your connection: it is nothing that you did."),
    "network": N_("On a public Wi-Fi, first open its welcome page, or use mobile data. Then check again."),
    "distrust": N_(
        "Please check again over another connection, for example mobile data. If it happens again, come back later."
    ),
    "clock": N_(
        "Look at the date and time of your phone: in its settings, choose the automatic time. Then check again."
    ),
    "outdated": N_(
        "Look at the date and time of your phone. If they are right, the fault is ours, not yours: come back later."
    ),
    "reload": N_("Reload this page, then check again."),
    "storage": N_(
        "Allow this site to store data, or leave private browsing. Only the number of a file list is stored."
    ),
    "kind": N_("Go back to the form and choose something else to check with."),
    "browser": N_("Close other apps, or use a newer browser or another phone. Then check again."),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a check could not be made, in plain words, and the remedy."""

    text: str
    remedy: str


REASONS: Final[Mapping[Reason, Cause]] = {
    Reason.NOT_CHECKED: Cause(N_("The check did not run to its end."), "again"),
    Reason.UNREACHABLE: Cause(N_("The service could not be reached."), "connection"),
    Reason.TIMEOUT: Cause(N_("The service did not answer in time. The network may be slow."), "connection"),
    Reason.CONNECTION_CLOSED: Cause(N_("The connection broke off before the answer was whole."), "connection"),
    Reason.RATE_LIMITED: Cause(N_("Too many checks were made today."), "wait"),
    Reason.UNAVAILABLE: Cause(N_("The service is not available now."), "later"),
    Reason.MAINTENANCE: Cause(N_("The service is closed for maintenance that was announced."), "maintenance"),
    Reason.MISSING: Cause(N_("The service does not have what it announced."), "later"),
    Reason.REFUSED: Cause(N_("The service refused the question."), "reload"),
    Reason.SERVER_ERROR: Cause(N_("The service failed."), "later"),
    Reason.NOT_THE_SERVICE: Cause(
        N_("The answer did not come from our service. It may be the welcome page of a Wi-Fi network."), "network"
    ),
    Reason.ANSWER_TOO_LONG: Cause(N_("The answer is longer than any that the service gives."), "network"),
    Reason.ANSWER_TOO_SHORT: Cause(N_("The answer arrived incomplete."), "network"),
    Reason.MANIFEST_MALFORMED: Cause(N_("The list of files cannot be read."), "later"),
    Reason.MANIFEST_SIGNATURE: Cause(
        N_("The list of files is not signed by the publisher that this page trusts."), "distrust"
    ),
    Reason.MANIFEST_VERSION: Cause(N_("This page and the service are not of the same version."), "reload"),
    Reason.MANIFEST_EXPIRED: Cause(
        N_("The list of files is out of date, or the date of your phone is wrong."), "outdated"
    ),
    Reason.MANIFEST_NOT_YET_VALID: Cause(
        N_("The list of files is dated in the future: the date of your phone may be wrong."), "clock"
    ),
    Reason.RELEASE_ROLLED_BACK: Cause(
        N_("The service offers an older list of files than this browser has already seen."), "distrust"
    ),
    Reason.RELEASE_CHANGED: Cause(N_("The list of files was renewed during the check."), "again"),
    Reason.RELEASE_MEMORY: Cause(N_("This browser does not let us note which list of files it saw last."), "storage"),
    Reason.MANIFEST_PARAMETERS: Cause(N_("This page is too old for the service."), "reload"),
    Reason.IDENTIFIER_RULES: Cause(N_("This page writes numbers otherwise than the service."), "reload"),
    Reason.KIND_NOT_INDEXED: Cause(N_("No file can be searched by what you chose."), "kind"),
    Reason.EVALUATION_MALFORMED: Cause(N_("The service’s answer cannot be read."), "later"),
    Reason.EVALUATION_PROOF: Cause(N_("The service could not prove that its answer is genuine."), "distrust"),
    Reason.BUCKET_LENGTH: Cause(N_("A part of the answer is missing."), "network"),
    Reason.BUCKET_PROOF: Cause(N_("The answer is not what was published."), "distrust"),
    Reason.ENTRY_MALFORMED: Cause(N_("What was found cannot be read."), "later"),
    Reason.CLIENT_FAULT: Cause(
        N_("This browser could not carry out the check. It may be too old, or short of memory."), "browser"
    ),
    Reason.CLIENT_ALTERED: Cause(N_("A part of this page is missing, or was changed on the way."), "reload"),
}
