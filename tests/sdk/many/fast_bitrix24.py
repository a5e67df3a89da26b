# usage: python - WEBHOOK METHOD COUNT <fast_bitrix24.py   Makes so many calls, twenty at a time, without a limit of its own; JSON.
import asyncio
import json
import sys
import warnings
from collections import Counter

from fast_bitrix24 import BitrixAsync

warnings.simplefilter("ignore")
method, count = sys.argv[2], int(sys.argv[3])


async def run():
    portal = BitrixAsync(sys.argv[1], verbose=False, request_pool_size=10_000, requests_per_second=10_000.0)
    at_once = asyncio.Semaphore(20)

    async def call():
        async with at_once:
            try:
                (await portal.call(method, {"scope": "C"}, raw=True))["result"]
                return "done"
            except Exception as error:
                return type(error).__name__

    return Counter(await asyncio.gather(*(call() for _ in range(count))))


print(json.dumps(asyncio.run(run())))
