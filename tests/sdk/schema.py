# usage: python schema.py SCHEMA FILES   Which of the files, a JSON list of texts, the schema takes: a JSON list.
import json
import sys

from jsonschema import Draft202012Validator

schema, files = (json.load(open(path)) for path in sys.argv[1:])
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
print(json.dumps([validator.is_valid(json.loads(text)) for text in files]))
