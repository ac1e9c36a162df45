"""The code of `docs/webhooks.md` is run against the page's own test vectors, in each language that is here.

A runner reads one case a line: secret, header, body (each in base64) and the clock, parted by commas; a header that is
missing is `-`. It writes `true` or `false` a line.
"""

import json
import re
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.languages import COMMANDS, HERE
from tests.processes import ROOT
from webhooks.signing import (
    CALLIYO_SIGNATURE,
    STANDARD_ID,
    STANDARD_SIGNATURE,
    STANDARD_TIMESTAMP,
    calliyo_signature,
    calliyo_signature_holds,
    signature_headers,
)

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
PATIENCE = 60  # a bound for a busy machine; each takes about a second
UNITS = {"s": 1, "min": 60, "h": 3600}


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def sent() -> tuple[dict[str, str], bytes]:
    """The headers and the body of the page's example."""
    head, _, body = block("http").partition("\n\n")
    return dict(line.split(": ", 1) for line in head.splitlines()[1:]), body.rstrip("\n").encode()


def secret_of_the_page() -> str:
    found = re.search(r"Its secret is `([^`]+)`", PAGE)
    assert found is not None
    return found[1]


HEADERS, BODY = sent()
SECRET = secret_of_the_page()
SENT_AT = int(HEADERS[STANDARD_TIMESTAMP])
CASES: list[dict[str, Any]] = json.loads(block("json"))


@dataclass(frozen=True)
class Vector:
    """One case in full: what its line on the page leaves out is as in the example."""

    secret: str
    header: str | None
    body: bytes
    now: int

    def line(self) -> str:
        header = "-" if self.header is None else _in_base64(self.header.encode())
        return ",".join([_in_base64(self.secret.encode()), header, _in_base64(self.body), str(self.now)])


def _in_base64(text: bytes) -> str:
    return b64encode(text).decode()


def vector(case: dict[str, Any]) -> Vector:
    return Vector(
        secret=case.get("secret", SECRET),
        header=case.get("signature", HEADERS[CALLIYO_SIGNATURE]),
        body=BODY + case.get("body_end", "").encode(),
        now=case.get("now", SENT_AT),
    )


PYTHON = """
import base64, sys
for line in sys.stdin:
    *texts, now = line.split(",")
    secret, header, body = (None if text == "-" else base64.b64decode(text) for text in texts)
    holds = is_from_calliyo(secret.decode(), header if header is None else header.decode(), body, int(now))
    print(str(holds).lower())
"""
JAVASCRIPT = """
import { readFileSync } from "node:fs";
for (const line of readFileSync(0, "utf8").trim().split("\\n")) {
  const fields = line.split(",");
  const [secret, given, body] = fields.slice(0, 3).map((text) => Buffer.from(text, "base64"));
  const header = fields[1] === "-" ? undefined : given.toString();
  console.log(String(isFromCalliyo(secret.toString(), header, body, Number(fields[3]))));
}
"""
PHP = """
while (($line = fgets(STDIN)) !== false) {
    $fields = explode(',', trim($line));
    [$secret, $header, $body] = array_map(fn($text) => $text === '-' ? null : base64_decode($text), $fields);
    echo is_from_calliyo($secret, $header, $body, (int) $fields[3]) ? "true\\n" : "false\\n";
}
"""
GO = """
func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ",")
		var texts [3][]byte
		for i := range texts {
			texts[i], _ = base64.StdEncoding.DecodeString(fields[i])
		}
		now, _ := strconv.ParseInt(fields[3], 10, 64)
		fmt.Println(IsFromCalliyo(string(texts[0]), string(texts[1]), texts[2], time.Unix(now, 0)))
	}
}
"""
RUBY = """
STDIN.each_line do |line|
  *texts, now = line.strip.split(",")
  secret, header, body = texts.map { |text| text == "-" ? nil : text.unpack1("m") }
  puts from_calliyo?(secret, header, body, now.to_i)
end
"""
JAVA = """final class Run {
    public static void main(String[] args) throws Exception {
        var decoder = java.util.Base64.getDecoder();
        var lines = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] fields = line.split(",");
            String secret = new String(decoder.decode(fields[0]), UTF_8);
            String header = fields[1].equals("-") ? null : new String(decoder.decode(fields[1]), UTF_8);
            long now = Long.parseLong(fields[3]);
            System.out.println(CalliyoSignature.holds(secret, header, decoder.decode(fields[2]), now));
        }
    }
}

"""


def with_runner_in_go(code: str) -> str:
    imports = '\n\t"bufio"\n\t"encoding/base64"\n\t"fmt"\n\t"os"'
    return code.replace("package calliyo", "package main").replace("import (", f"import ({imports}", 1) + GO


def with_runner_in_java(code: str) -> str:
    # `java File.java` starts the first class of the file.
    return code.replace("final class CalliyoSignature", f"{JAVA}final class CalliyoSignature", 1)


PROGRAMS = {
    "python": ("verify.py", block("python") + PYTHON),
    "node": ("verify.mjs", block("js") + JAVASCRIPT),
    "php": ("verify.php", block("php") + PHP),
    "go": ("verify.go", with_runner_in_go(block("go"))),
    "ruby": ("verify.rb", block("ruby") + RUBY),
    "java": ("Verify.java", with_runner_in_java(block("java"))),
}
"""Of each language: the file's name, and what is in it."""


@pytest.mark.parametrize("language", HERE)
def test_the_code_of_the_page_tells_what_calliyo_signed(language: str, tmp_path: Path) -> None:
    name, program = PROGRAMS[language]
    (tmp_path / name).write_text(program)
    ended = subprocess.run(
        [*COMMANDS[language], name],
        cwd=tmp_path, input="".join(vector(case).line() + "\n" for case in CASES),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = dict(zip([case["case"] for case in CASES], ended.stdout.split(), strict=True))
    assert told == {case["case"]: "true" if case["holds"] else "false" for case in CASES}


def test_the_example_is_signed_as_calliyo_signs() -> None:
    signed = signature_headers([SECRET], message_id=HEADERS[STANDARD_ID], timestamp=SENT_AT, body=BODY)
    assert signed == {name: HEADERS[name] for name in (CALLIYO_SIGNATURE, STANDARD_SIGNATURE)}
    body = json.loads(BODY)
    assert (body["id"], body["type"]) == (HEADERS[STANDARD_ID], HEADERS["X-Calliyo-Event"])


def test_the_vector_of_a_rotation_is_what_calliyo_signs() -> None:
    other = next(case["secret"] for case in CASES if "secret" in case)
    rotated = next(case["signature"] for case in CASES if case["case"].startswith("rotated"))
    assert rotated == calliyo_signature([other, SECRET], timestamp=SENT_AT, body=BODY)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_calliyos_own_verifier_says_the_same(case: dict[str, Any]) -> None:
    given = vector(case)
    holds = calliyo_signature_holds(given.header or "", secret=given.secret, body=given.body, now=given.now)
    assert holds is case["holds"]


def test_the_waits_of_the_page_are_those_of_a_fresh_calliyo() -> None:
    found = re.search(r"^> (5 s, .*)$", PAGE, re.MULTILINE)
    assert found is not None
    waits = [int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", found[1])]
    assert [0, *waits] == settings.CALLIYO_WEBHOOK_RETRY_SCHEDULE
