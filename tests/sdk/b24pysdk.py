# usage: python - WEBHOOK METHOD... <b24pysdk.py   What the library makes of each call, and of a batch of all, as JSON.
import json
import sys
from urllib.parse import urlsplit

from b24pysdk import BitrixWebhook
from b24pysdk.errors import BitrixAPIError

address = urlsplit(sys.argv[1])
portal = BitrixWebhook(domain=address.netloc, webhook_token=address.path.removeprefix("/rest/").strip("/"))
methods = sys.argv[2:]
calls, batch = {}, {}
for method in methods:
    try:
        calls[method] = {"result": portal.call_method(method, {"scope": "C"})["result"]}
    except BitrixAPIError as error:
        calls[method] = {"status": error.status_code, "code": error.error, "says": error.error_description}
told = portal.call_batch({method: (method, {"scope": "C"}) for method in methods})["result"]
# PHP's empty array is a list.
errors = dict(told["result_error"] or {})
batch = {method: {"code": error["error"], "says": error["error_description"]} for method, error in errors.items()}
batch.update({method: {"result": result} for method, result in dict(told["result"] or {}).items() if method not in errors})
print(json.dumps({"calls": calls, "batch": batch}))
