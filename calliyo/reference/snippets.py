"""A call in curl, Python, JavaScript and PHP, ready to run with the token in `CALLIYO_TOKEN`."""

import json
import re
from dataclasses import dataclass
from pprint import pformat
from typing import Any, Final

_IDS: Final = "1042"
_EVENT: Final = "evt_01936f2a7c1e7d3a9b5c4e6f8a90b1c2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An operation with the values of its example."""

    base: str
    method: str
    path: str
    body: Any

    @property
    def url(self) -> str:
        """Its address, with an id in its place."""
        known = _EVENT if self.path.startswith("/public/events/") else _IDS
        return self.base + re.sub(r"\{\w+\}", known, self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    language: str
    text: str


def snippets(call: Call) -> list[Snippet]:
    """The call in each language."""
    return [
        Snippet(language="curl", text=_curl(call)),
        Snippet(language="Python", text=_python(call)),
        Snippet(language="JavaScript", text=_javascript(call)),
        Snippet(language="PHP", text=_php(call)),
    ]


def _curl(call: Call) -> str:
    lines = [f'curl "{call.url}"' if call.method == "GET" else f'curl -X {call.method} "{call.url}"']
    lines.append('  -H "Authorization: Bearer $CALLIYO_TOKEN"')
    if call.method == "POST":
        lines.append('  -H "Idempotency-Key: $(uuidgen)"')
    if call.body is not None:
        text = json.dumps(call.body, ensure_ascii=False, indent=2).replace("'", "'\\''").replace("\n", "\n  ")
        lines += ['  -H "Content-Type: application/json"', f"  -d '{text}'"]
    return " \\\n".join(lines)


def _python(call: Call) -> str:
    headers = ['"Authorization": f"Bearer {os.environ[\'CALLIYO_TOKEN\']}"']
    if call.method == "POST":
        headers.append('"Idempotency-Key": str(uuid.uuid4())')
    arguments = [f'"{call.url}"', f"headers={{{', '.join(headers)}}}"]
    if call.body is not None:
        # JSON's true, false and null are no words of Python.
        arguments.append(f"json={pformat(call.body, sort_dicts=False, width=70)}".replace("\n", "\n    "))
    arguments.append("timeout=30")
    imports = ["import os"] + (["import uuid"] if call.method == "POST" else [])
    show = "print(answer.status_code)" if call.method == "DELETE" else "print(answer.json())"
    return "\n".join(
        [
            *imports,
            "",
            "import requests",
            "",
            f"answer = requests.{call.method.lower()}(",
            *(f"    {argument}," for argument in arguments),
            ")",
            "answer.raise_for_status()",
            show,
        ]
    )


def _javascript(call: Call) -> str:
    headers = ["    Authorization: `Bearer ${process.env.CALLIYO_TOKEN}`,"]
    if call.method == "POST":
        headers.append('    "Idempotency-Key": crypto.randomUUID(),')
    if call.body is not None:
        headers.append('    "Content-Type": "application/json",')
    lines = [f'const answer = await fetch("{call.url}", {{']
    if call.method != "GET":
        lines.append(f'  method: "{call.method}",')
    lines += ["  headers: {", *headers, "  },"]
    if call.body is not None:
        text = json.dumps(call.body, ensure_ascii=False, indent=2).replace("\n", "\n  ")
        lines.append(f"  body: JSON.stringify({text}),")
    show = "console.log(answer.status);" if call.method == "DELETE" else "console.log(await answer.json());"
    return "\n".join([*lines, "});", "if (!answer.ok) throw new Error(await answer.text());", show])


def _php(call: Call) -> str:
    headers = ["        'Authorization: Bearer ' . getenv('CALLIYO_TOKEN'),"]
    if call.method == "POST":
        headers.append("        'Idempotency-Key: ' . bin2hex(random_bytes(16)),")
    if call.body is not None:
        headers.append("        'Content-Type: application/json',")
    lines = ["<?php", f"$call = curl_init('{call.url}');", "curl_setopt_array($call, ["]
    if call.method != "GET":
        lines.append(f"    CURLOPT_CUSTOMREQUEST => '{call.method}',")
    lines += ["    CURLOPT_HTTPHEADER => [", *headers, "    ],"]
    if call.body is not None:
        text = json.dumps(call.body, ensure_ascii=False, indent=2).replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"    CURLOPT_POSTFIELDS => '{text}',")
    return "\n".join(
        [
            *lines,
            "    CURLOPT_RETURNTRANSFER => true,",
            "]);",
            "$body = curl_exec($call);",
            "echo curl_getinfo($call, CURLINFO_HTTP_CODE), ' ', $body;",
        ]
    )
