"""Numbers in digits and in words: "84,5", "1,200", "twenty-four", "half a"."""

import re

NUMBER = r"(?<![\w#])(?<!\d[.,/:])\d{1,6}(?:[.,]\d{1,6})?"
ONES = dict(one=1, two=2, three=3, four=4, five=5, six=6, seven=7, eight=8, nine=9, ten=10, eleven=11, twelve=12)
ONES |= dict(thirteen=13, fourteen=14, fifteen=15, sixteen=16, seventeen=17, eighteen=18, nineteen=19)
TENS = dict(twenty=20, thirty=30, forty=40, fifty=50, sixty=60, seventy=70, eighty=80, ninety=90)
UNITS, ROUND = "|".join(sorted(ONES, key=len, reverse=True)), "|".join(TENS)
SPELLED = rf"(?:(?:{ROUND})(?:[\s-](?:{UNITS}))?|(?:{UNITS}))"
COUNT = (
    rf"(?:{NUMBER}|(?<![\w-])(?:(?:an?|one|two|three)[\s-]hundred(?:[\s-](?:and[\s-])?{SPELLED})?|{SPELLED}"
    r"|half[\s-]an?|an?))"
)


def to_number(text: str) -> float:
    """The value of what `COUNT` matches: "84,5" -> 84.5, "1,200" -> 1200, "twenty-four" -> 24, "half a" -> 0.5."""
    text = text.lower()
    if text[0].isdigit():
        return float(re.sub(r",(?=\d{3}$)", "", text).replace(",", "."))
    if text.startswith("half"):
        return 0.5
    total = 0
    for word in re.split(r"[\s-]", text):
        total = (
            100 * total if word == "hundred" else total + TENS.get(word, 0) + ONES.get(word, int(word in ("a", "an")))
        )
    return float(total)
