# usage: python - WEBHOOK METHOD... <fast_bitrix24.py   What the library makes of each call, and of a batch of all, as JSON.
import json
import sys
import warnings

from aiohttp import ClientResponseError
from fast_bitrix24 import Bitrix
from fast_bitrix24.server_response import ErrorInServerResponseException

warnings.simplefilter("ignore")
portal = Bitrix(sys.argv[1], verbose=False)
methods = sys.argv[2:]
calls, batch = {}, {}
for method in methods:
    try:
        calls[method] = {"result": portal.call(method, {"scope": "C"}, raw=True)["result"]}
    except ClientResponseError as error:
        # The library tells the status alone.
        calls[method] = {"status": error.status}
try:
    results = portal.call_batch({"halt": 0, "cmd": {method: f"{method}?scope=C" for method in methods}})
    batch = {method: {"result": result} for method, result in results.items()}
except ErrorInServerResponseException as error:
    # One that fails hides the results of the others.
    batch = {method: {"code": told["error"], "says": told["error_description"]} for method, told in error.args[0].items()}
print(json.dumps({"calls": calls, "batch": batch}))
