"""Whether answers are as the document says, by the letter and no more: what a schema of the document does not name is not in the
answer either.

Reads `{"document": ..., "answers": [{"what": ..., "schema": ..., "answer": ...}]}` from standard input.
"""

import json
import sys

from jsonschema import Draft202012Validator


def closed(schema):
    """The same schema, in which objects have no members but those that are named."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: value if name in ("const", "enum", "examples") else closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        schema.setdefault("additionalProperties", False)
    return schema


asked = json.load(sys.stdin)
components = closed(asked["document"]["components"])
problems = 0
for each in asked["answers"]:
    schema = {**each["schema"], "components": components}
    for error in Draft202012Validator(schema).iter_errors(each["answer"]):
        problems += 1
        print(f"{each['what']}: {error.json_path}: {error.message}")
sys.exit(1 if problems else 0)
