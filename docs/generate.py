"""Writes the documents that are made from the code: `docs/openapi.json`, `docs/data-model.md`, `docs/cli.md`,
`docs/reference.md`, three tables of `docs/protocol.md`, and those of `docs/notebook.md`.

`python docs/generate.py` writes them; with `--check` it only says which of them are out of date, and fails.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema
from typer.cli import get_docs_for_click

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from app import app  # noqa: E402
from chalicelib.storage import keys  # noqa: E402
from chalicelib.web import PATH_NAMES, Speech  # noqa: E402
from muster import __version__  # noqa: E402
from muster.cli.app import app as cli  # noqa: E402
from muster.operator.rows import TABLES  # noqa: E402
from muster.wire import messages as wire  # noqa: E402
from muster.wire.failures import FAILURES  # noqa: E402
from muster.wire.problems import MEDIA_TYPE, Problem  # noqa: E402
from muster.wire.reasons import ABOUT  # noqa: E402
from tests import refusals  # noqa: E402

REF = "#/components/schemas/{model}"


def openapi() -> str:
    """The API as an OpenAPI 3.1 document, from the routes' own declarations."""
    routes = [(path, method, entry) for path, methods in app.routes.items() for method, entry in methods.items()]
    speeches: dict[tuple[str, str], Speech] = {(p, m): entry.view_function.speech for p, m, entry in routes}
    requests = {speech.takes for speech in speeches.values() if speech.takes}
    replies = {model for speech in speeches.values() for model in _members(speech.answers)} | {wire.ProblemDocument}
    modes: list[Any] = [(model, "validation") for model in _sorted(requests)]
    modes += [(model, "serialization") for model in _sorted(replies)]
    names, definitions = models_json_schema(modes, ref_template=REF)
    paths: dict[str, Any] = {}
    for path, method, entry in sorted(routes, key=lambda route: (route[0], route[1])):
        speech = speeches[path, method]
        operator = path.startswith("/v1/admin/")
        device = Problem.UNAUTHENTICATED in speech.refuses
        operation: dict[str, Any] = {
            "operationId": entry.view_name,
            "tags": ["operators" if operator else "devices"],
            "summary": " ".join((entry.view_function.__doc__ or "").split()),
            "security": [{"aws": []}] if operator else [{"deviceKey": []}] if device else [],
            "responses": _responses(speech, names),
        }
        if parameters := _parameters(path, speech):
            operation["parameters"] = parameters
        if speech.takes:
            content = {"application/json": {"schema": names[(speech.takes, "validation")]}}
            operation["requestBody"] = {"required": True, "content": content}
        paths.setdefault(path, {})[method.lower()] = operation
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Muster",
            "version": __version__,
            "summary": "Federated learning rounds without servers",
        },
        "servers": [{"url": "http://127.0.0.1:8000", "description": "the local cloud"}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {
                "deviceKey": {"type": "http", "scheme": "bearer", "description": "`<client_id>.<secret>`, from enrolment"},
                "aws": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "AWS Signature Version 4"},
            },
        },
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _members(answers: Any) -> tuple[type[Any], ...]:
    """The messages of a reply that is one, or one of several."""
    found = []
    for member in get_args(answers) or (answers,):
        found += list(get_args(member)) if get_args(member) else [member] if isinstance(member, type) else []
    return tuple(found)


def _sorted(models: set[Any]) -> list[Any]:
    return sorted(models, key=lambda model: model.__name__)


def _responses(speech: Speech, names: Any) -> dict[str, Any]:
    members = [names[(model, "serialization")] for model in _members(speech.answers)]
    reply = members[0] if len(members) == 1 else {"oneOf": members, "discriminator": {"propertyName": "kind"}}
    responses: dict[str, Any] = {
        str(speech.status): {"description": "The answer", "content": {"application/json": {"schema": reply}}}
    }
    if speech.answers is wire.ModelReply:
        responses["304"] = {"description": "What `If-None-Match` names is what the device should run"}
    problems: dict[int, list[Problem]] = {}
    for problem in speech.all_refusals:
        problems.setdefault(problem.kind.status, []).append(problem)
    for status, several in problems.items():
        described = "; ".join(f"`{problem.value}`: {problem.kind.title}" for problem in several)
        schema = {
            "allOf": [names[(wire.ProblemDocument, "serialization")]],
            "properties": {"type": {"enum": [problem.urn for problem in several]}},
        }
        responses[str(status)] = {"description": described, "content": {MEDIA_TYPE: {"schema": schema}}}
    return responses


def _parameters(path: str, speech: Speech) -> list[dict[str, Any]]:
    parts = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^({PATH_NAMES[name].pattern})$"},
        }
        for name in parts
    ]
    if speech.asks:
        asked = speech.asks.model_json_schema()
        for name, schema in asked["properties"].items():
            needed = name in asked.get("required", [])
            described = {"description": schema.pop("description")} if "description" in schema else {}
            shape = _asked(schema, asked.get("$defs", {}))
            found.append({"name": name, "in": "query", "required": needed, "schema": shape, **described})
    if speech.answers is wire.ModelReply:
        found.append({"name": "If-None-Match", "in": "header", "schema": {"type": "string"}})
    return found


def _asked(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema, whole in itself: what is not asked for is absent, never null."""
    if "$ref" in schema:
        word = definitions[schema["$ref"].rpartition("/")[2]]
        return {name: word[name] for name in ("type", "enum")}
    schema = {name: value for name, value in schema.items() if name not in ("title", "default") or value is not None}
    schema.pop("title", None)
    options = [_asked(option, definitions) for option in schema.pop("anyOf", []) if option.get("type") != "null"]
    return schema | (options[0] if len(options) == 1 else {"anyOf": options} if options else {})


def data_model() -> str:
    """Every row, key and object, as Markdown."""
    lines = [
        "# Data model",
        "",
        "Made from `chalicelib/storage/keys.py` and the row classes by `docs/generate.py`; do not edit.",
        "",
        "Every table has the text keys `pk` and `sk`. Every row also carries `op_id`, the id of the write that last changed",
        "it: a write that was sent twice recognises itself by it. Times are text of one fixed width, for example",
        "`2026-11-24T03:41:15.123456Z`, so that comparing them in a condition compares time. What is None is not stored.",
        "",
        "## Rows",
        "",
    ]
    for kind in keys.ROWS:
        module, _, name = kind.row.rpartition(".")
        row = getattr(import_module(module), name)
        lines += [
            f"### {kind.name}",
            "",
            f"Table `{kind.table}` · `pk` = `{kind.pk}` · `sk` = `{kind.sk}` · `{kind.row}`",
            "",
            kind.about,
            "",
            "| attribute | stored as |",
            "|---|---|",
            *(f"| `{field}` | {shape} |" for field, shape in _attributes(row)),
        ]
        lines.append("")
    lines += ["## Objects", "", "| object | key | about |", "|---|---|---|"]
    lines += [f"| {kind.name} | `{kind.template}` | {kind.about} |" for kind in keys.OBJECTS]
    spread = "`{spread}` is the first four hex digits of the round's SHA-256."
    return "\n".join([*lines, "", spread, ""])


def _attributes(row: Any) -> list[tuple[str, str]]:
    schema = TypeAdapter(row).json_schema(mode="serialization")
    definitions = schema.get("$defs", {})
    return [(field.name, _shape(schema["properties"][field.name], definitions)) for field in fields(row)]


def _shape(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        target = definitions[name]
        if "enum" in target:
            return " or ".join(f"`{value}`" for value in target["enum"])
        return "map: " + ", ".join(f"`{member}`" for member in target["properties"])
    if "anyOf" in schema:
        shapes = [_shape(option, definitions) for option in schema["anyOf"] if option.get("type") != "null"]
        return " or ".join(shapes) + ("" if len(shapes) == len(schema["anyOf"]) else ", optional")
    if schema.get("type") == "array":
        return f"{'set' if schema.get('uniqueItems') else 'list'} of {_shape(schema['items'], definitions)}"
    if schema.get("type") == "object":
        return "map of " + _shape(schema.get("additionalProperties", {}), definitions)
    return {"string": "text", "integer": "number", "number": "number", "boolean": "boolean"}[schema["type"]]


def command_line() -> str:
    """The help of every command, as Markdown."""
    command = typer.main.get_command(cli)
    help_ = get_docs_for_click(obj=command, ctx=typer.Context(command), name="muster")
    lines = [
        "# The command line",
        "",
        "Made from `muster/cli/` by `docs/generate.py`; do not edit.",
        "",
        "`pip install 'muster-fl[operator]'`. Every command that prints takes `--json`; every command that changes something",
        "takes `--dry-run`. An error says what is wrong, why, and the command to type next. Exit status: 0 done, 1 refused by",
        "the server, 2 wrong usage, 3 no answer, 4 what came is not what was announced, 5 a version that was computed again is",
        "another one, or a device that does not conform.",
        "",
        "",
    ]
    return "\n".join(lines) + help_.replace("# `muster`", "## `muster`", 1).strip() + "\n"


def protocol() -> str:
    """The page of the protocol, with its tables of reasons, of failures and of refusals; the rest of it is written by hand."""
    reasons = ["| `reason` | the update |", "|---|---|", *(f"| `{reason}` | {about} |" for reason, about in ABOUT.items())]
    failures = ["| `reason` | |", "|---|---|", *(f"| `{reason}` | {about} |" for reason, about in FAILURES.items())]
    return _filled(
        "docs/protocol.md",
        {"muster/wire/failures.py": failures, "muster/wire/reasons.py": reasons, "tests/refusals.py": refusals.lines()},
    )


def notebook() -> str:
    """The page of notebooks, with the columns of every table; the rest of it is written by hand."""
    lines: list[str] = []
    for name, table in TABLES.items():
        lines += ["", f"### `rows.{name}`", "", "| column | holds | |", "|---|---|---|"]
        lines += [f"| `{column}` | {told.kind} | {told.about} |" for column, told in table.columns.items()]
    return _filled("docs/notebook.md", {"muster/operator/rows.py": [*lines, ""]})


def _filled(name: str, made: Mapping[str, Sequence[str]]) -> str:
    """A page, with lines that are made from sources in their places."""
    page = (ROOT / name).read_text()
    for source, lines in made.items():
        begin = f"<!-- Made from {source} by docs/generate.py; do not edit. -->"
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(END)
        page = "\n".join([head + begin, *lines, END + tail])
    return page


END = "<!-- Made until here. -->"

PUBLIC: dict[str, tuple[str, tuple[str, ...]]] = {
    "What is learnt": ("muster", ("App", "Data", "LocalData")),
    "Trainers": ("muster", ("TorchTrainer", "SklearnTrainer", "Trainer", "TrainingResult")),
    "What a trainer is told and tells": ("muster.device", ("ContextTrainer", "TrainingContext", "Evaluation")),
    "Tasks": (
        "muster.training.tasks", ("classification", "sequences", "regression", "multilabel", "TrainingTask"),
    ),
    "Modules": ("muster.training.torch", ("checkpoint", "weights", "load")),
    "Adapters": ("muster.training.lora", ("adapt", "merge", "LoraLinear")),
    "Hyperparameters": ("muster.training.hyperparameters", ("Hyperparameter",)),
    "Devices": ("muster", ("Device",)),
    "What a device says of its state": ("muster.device", ("DeviceState",)),
    "What goes wrong on a device": (
        "muster.device", ("DeviceError", "TrainerFailed", "Refused", "Unreachable", "Untrusted", "Overloaded", "Insecure"),
    ),
    "Operators": ("muster.operator", ("Operator",)),
    "Frames": (
        "muster.operator.frames",
        ("rounds", "reasons", "versions", "measurements", "deployments", "clients", "metric", "frame"),
    ),
    "OpenTelemetry": ("muster.telemetry", ("connect", "disconnect")),
    "Tensor files": ("muster.wire.arrays", ("encode", "decode")),
}  # fmt: skip
"""The names that users' code may rely on, by chapter."""


def reference() -> str:
    """What the public names of the wheel are, from their docstrings."""
    lines = [
        "# Reference",
        "",
        "Made from docstrings by `docs/generate.py`; do not edit. Where to begin is [python.md](python.md).",
        "",
    ]
    for chapter, (module, names) in PUBLIC.items():
        lines += [f"## {chapter}", ""]
        for name in names:
            thing = getattr(import_module(module), name)
            lines += [f"### `{module}.{name}`", "", *_documented(name, thing)]
            if inspect.isclass(thing) and not issubclass(thing, Exception):
                for member, value in vars(thing).items():
                    if (
                        not member.startswith("_")
                        and callable(getattr(thing, member))
                        and inspect.getdoc(getattr(thing, member))
                    ):
                        plain = isinstance(value, (staticmethod, classmethod))
                        dot = f"{name}." if plain else "."
                        lines += [f"#### `{member}`", "", *_documented(f"{dot}{member}", getattr(thing, member))]
    return "\n".join(lines).rstrip() + "\n"


def _documented(name: str, thing: Any) -> list[str]:
    """A signature and a docstring, as Markdown."""
    told = [] if inspect.isclass(thing) and issubclass(thing, Exception) else ["```python", _signature(name, thing), "```", ""]
    docs = [inspect.getdoc(thing) or ""]
    if inspect.isclass(thing):
        docs += [doc for doc in [inspect.getdoc(thing.__init__) or ""] if "__init__" in vars(thing) and "help(type" not in doc]
        docs += _attributes_of(thing)
    for line in "\n\n".join(filter(None, docs)).splitlines():
        word = line.strip()
        if word in ("Args:", "Raises:"):
            told += ["", f"*{word.rstrip(':').lower()}*", ""]
        elif (match := re.match(r"^(?: {4})?(\w[\w, ]*): ", line)) and ("*args*" in told or "*raises*" in told):
            told.append(f"- `{match[1]}`: {line[match.end() :]}")
        else:
            told.append(line if not line.startswith("        ") or "*raises*" not in told else word)
    return [*told, ""]


def _attributes_of(thing: type) -> list[str]:
    """Attributes that the class's source explains, as list items."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    found = []
    for field, after in pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
        said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(said, str):
            found.append(f"- `{field.target.id}`: {' '.join(inspect.cleandoc(said).split())}")
    return ["\n".join(found)] if found else []


def _signature(name: str, thing: Any) -> str:
    """How it is called, one argument a line where it is long."""
    said = re.sub(r"(: |-> )'([^']*)'", r"\1\2", _quoted(name, thing))
    return re.sub(r"<(?:built-in )?(?:function|method) (\w+)[^>]*>|<factory>", lambda match: match[1] or "…", said)


def _quoted(name: str, thing: Any) -> str:
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return name
    parameters = [p for p in signature.parameters.values() if p.name not in ("self",)]
    signature = signature.replace(parameters=parameters)
    short = f"{name}{signature}"
    if len(short) <= 110:
        return short
    given = [str(signature.replace(parameters=[p], return_annotation=inspect.Signature.empty))[1:-1] for p in parameters]
    given = [
        one.removeprefix("*, ") if parameter.kind is parameter.KEYWORD_ONLY else one
        for one, parameter in zip(given, parameters, strict=True)
    ]
    first = next((n for n, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
    if first is not None:
        given.insert(first, "*")
    answer = "" if signature.return_annotation is inspect.Signature.empty else f" -> {signature.return_annotation}"
    return f"{name}(\n" + "".join(f"    {one},\n" for one in given) + f"){answer}"


DOCUMENTS = {
    "docs/protocol.md": protocol,
    "docs/notebook.md": notebook,
    "docs/openapi.json": openapi,
    "docs/data-model.md": data_model,
    "docs/cli.md": command_line,
    "docs/reference.md": reference,
}


def main() -> int:
    """Write the documents, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document is out of date")
    check = parser.parse_args().check
    stale = 0
    for name, make in DOCUMENTS.items():
        path, text = ROOT / name, make()
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        print(f"{name} is out of date; run `make docs`" if check else f"wrote {name}")
        if not check:
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
