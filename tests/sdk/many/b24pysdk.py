# usage: python - WEBHOOK METHOD COUNT <b24pysdk.py   Makes so many calls, ten at a time, without retries of its own; JSON.
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from b24pysdk import BitrixWebhook, Config
from b24pysdk.errors import BitrixAPIError, BitrixSDKException

Config().configure(default_max_retries=1, default_initial_retry_delay=0.001)
address = urlsplit(sys.argv[1])
portal = BitrixWebhook(domain=address.netloc, webhook_token=address.path.removeprefix("/rest/").strip("/"))
method, count = sys.argv[2], int(sys.argv[3])


def call(_):
    try:
        portal.call_method(method, {"scope": "C"})["result"]
        return "done"
    except BitrixAPIError as error:
        return error.error
    except BitrixSDKException as error:
        return type(error).__name__


with ThreadPoolExecutor(10) as pool:
    print(json.dumps(Counter(pool.map(call, range(count)))))
