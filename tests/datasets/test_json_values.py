"""The line reader against JSON's grammar: what it allows is read, what it forbids has a code, nothing breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp.datasets.encodings import Decoder
from webapp.datasets.json_rows import JsonFile
from webapp.datasets.limits import Limits
from webapp.datasets.problems import Problems, Refused

ACCEPTED = [
    "[]", "[[]   ]", '[""]', "[1,null,true,false]", "[123e65]", "[0e+1]", "[0e1]", "[ 4]", "[-0]", "[-123]", "[-1]",
    "[1E22]", "[1E-2]", "[1.5]", '{"a":"b","c":"d"}', '{"":0}', '{"a":[]}', '["\\u0060\\u012a\\u12AB"]',
    '["\\uD801\\udc37"]', '["\\"\\\\\\/\\b\\f\\n\\r\\t"]', '["\\\\u0000"]', '["\\u0012"]', '["\\u2028"]', '["\u2028"]',
    '["\u007f"]', '["\U0010ffff"]', '["€𝄞"]', '["a/*b*/c/*d//e"]', "[-9223372036854775808,9223372036854775807]",
]  # fmt: skip
FORBIDDEN = [
    "[1 true]", "[a\u00e5]", '["": 1]', '[""],', "[,1]", "[1,,2]", '["x",,]', '["x"]]', '["",]', '["x"', "[x", "[3[4]]",
    "[1:2]", "[,]", "[-]", "[,", "['a']", "[*]", "[1,", "[fals]", "[nul]", "[tru]", "[++1234]", "[+1]", "[+Inf]",
    "[-01]", "[-1.0.]", "[-2.]", "[.-1]", "[.2e-3]", "[0.1.2]", "[0.3e+]", "[0.3e]", "[0.e1]", "[0E]", "[1.0e-]",
    "[1eE2]", "[2.e3]", "[9.e+]", "[Inf]", "[0x1]", "[1+2]", "[- 1]", "[-012]", "[012]", "[1ea]", "[1.8H-308]",
    '{"x", null}', '{"x"::"b"}', '{"a":"a" 123}', "{key: 'value'}", '{"a" b}', '{:"b"}', '{"a":', '{"a"', "{1:1}",
    "{null:null}", '{"id":0,,}', "{'a':0}", '{"a":"b",}', '{"a":"b"}/**/', '{"a":"b"}#', '{"a":/*c*/"b"}',
    '{"a":true} "x"',
    '["\\uD800\\"]', '["\\u00A"]', '["\\', '["\\x00"]', '["\\\\\\"]', '["\\a"]', '["\\uqqqq"]', '["\\🌀"]',
    "[\\u0020\"a\"]",
    '["\t"]', '["\x1f"]', '"', "<.>", "[<null>]", "aå", "[True]", "1]", "{[", '["a', "]", "*", '{"a":"b"}}', "﻿", "[⁠]",
    "2@", "{}}", '{"":', '{"a":/*c*/', "[1]x", "nan", "NaN", "[NaN]", "[-Infinity]", "[Infinity]", "[1e400]",
    "[-1e999]",
    "[9223372036854775808]", "[" + "9" * 10_000 + "]", "[" * 100_000, '[{"":' * 50_000, '{"a":1,"a":2}',
    '[{"a":1,"a":1}]',
    '["\\u0000"]', '{"\\u0000":1}', '["\\ud800"]', '["\\ud800\\ud800"]', '["\\udc00abc"]', "[" * 70 + "]" * 70,
]  # fmt: skip


def problems_of(path: Path, value: str) -> list[str]:
    """Codes for a value that stands inside the second line of a file."""
    head = b'{"text":"a"}\n{"value":'
    path.write_bytes(head + value.encode() + b"}\n" + b'{"text":"c"}\n')
    problems = Problems("a.jsonl")
    try:
        rows = list(JsonFile(path, problems, Limits(), Decoder(problems)).lines())
    except Refused:
        rows = []
    assert bool(problems.fatal) == (len(rows) < 3)
    return list(problems.counts)


@pytest.mark.parametrize("value", ACCEPTED)
def test_the_grammar_is_read(tmp_path: Path, value: str) -> None:
    assert problems_of(tmp_path / "a", value) == []


@pytest.mark.parametrize("value", FORBIDDEN, ids=lambda value: value[:20])
def test_what_the_grammar_or_we_forbid_has_a_code(tmp_path: Path, value: str) -> None:
    codes = problems_of(tmp_path / "a", value)
    assert len(codes) == 1
    assert codes[0].startswith("dataset.")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text":"a","label":"x",}', "a comma stands before the closing brace"),
        ('{"text":["a",],"label":"x"}', "a comma stands before the closing bracket"),
        ('{"text":"a","label":"x"},', "a comma stands after the object"),
        ("{'text':'a'}", "double quotes"),
        ('{"text" "a"}', "colon"),
        ('{"text":"a" "label":"b"}', "comma is missing"),
        ('{"text":"a\tb"}', "control character"),
        ('{"text":"C:\\dir"}', "escape"),
        ('{"text":"a', "ends in the middle"),
        ('{"text":tru', "ends in the middle"),
    ],
)
def test_usual_mistakes_are_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a").write_text('{"text":"ok"}\n' + line + '\n{"text":"ok"}\n')
    problems = Problems("a.jsonl")
    assert len(list(JsonFile(tmp_path / "a", problems, Limits(), Decoder(problems)).lines())) == 2
    problem = problems.as_json()[0]
    assert problem["where"]["line"] == 2
    assert words in problem["message"] + problem["hint"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.binary(max_size=60), st.sampled_from(["lines", "elements"]))
def test_no_bytes_break_the_reader(tmp_path: Path, noise: bytes, how: str) -> None:
    row = json.dumps({"text": "a", "label": "x"}).encode()
    content = row + b"\n" + noise + b"\n" + row if how == "lines" else b"[" + row + noise + row + b"]"
    (tmp_path / "a").write_bytes(content)
    problems = Problems("a.jsonl")
    try:
        list(getattr(JsonFile(tmp_path / "a", problems, Limits(), Decoder(problems)), how)())
    except Refused:
        assert problems.fatal
