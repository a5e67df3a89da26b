#!/usr/bin/env python3
"""Records a session as docs/images/session.svg, from what the program really prints in a terminal of 120 columns.

docs/images/session.py target/release/b24-migration-proxy
It starts the sandbox and the proxy on free ports of this machine, makes a few calls, and runs the commands below.
"""
import fcntl
import html
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request

COLUMNS = 120
PROGRAM = os.path.abspath(sys.argv[1])
NAME = "b24-migration-proxy"
COMMANDS = [
    "translate '/rest/1/abc/crm.lead.details.configuration.reset?entityTypeId=3' --data '{\"extras\":{\"lead.customer.type\":2}}'",
    "report --callers callers.toml deprecations.jsonl",
    "brownout --callers callers.toml --caller 'Online shop' --for 10m --dry-run --log deprecations.jsonl",
]
CALLERS = """[[caller]]
name = "Online shop"
user = "1"
owner = "Ann Lee"
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def call(port, path, data, agent):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers={"User-Agent": agent})
    for _ in range(100):
        try:
            return urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError:
            time.sleep(0.05)
    sys.exit("the proxy does not answer")


def printed(command, folder):
    """What a command prints on a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm"
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        os.execvp("sh", ["sh", "-c", f"{PROGRAM} {command}"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    out = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    os.waitpid(child, 0)
    return out.decode().replace("\r\n", "\n").rstrip("\n").split("\n")


def spans(line):
    """A line with the terminal's colours as elements."""
    out, style = "", ""
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b"):
            style = {"1": "b", "2": "d", "31": "r", "32": "g", "33": "y"}.get(part[2:-1], "")
        elif part:
            text = html.escape(part, quote=False)
            out += f'<tspan class="{style}">{text}</tspan>' if style else text
    return out


def session(folder):
    portal, proxy, admin = free_port(), free_port(), free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    with open(f"{folder}/callers.toml", "w") as file:
        file.write(CALLERS)
    running = [
        subprocess.Popen([PROGRAM, "sandbox", "--listen", f"127.0.0.1:{portal}"], **quiet),
        subprocess.Popen([PROGRAM, "serve", "--upstream", f"http://127.0.0.1:{portal}",
                          "--upstream-host", "example.bitrix24.com", "--listen", f"127.0.0.1:{proxy}",
                          "--admin-listen", f"127.0.0.1:{admin}", "--callers", "callers.toml",
                          "--deprecation-log", "deprecations.jsonl"], **quiet),
    ]
    try:
        for _ in range(9):
            call(proxy, "/rest/1/sandboxcode/crm.lead.details.configuration.get", b"scope=C", "b24-php-sdk-vendor-v-1.9.0-php-8.2.29")
        for _ in range(4):
            call(proxy, "/rest/2/sandboxcode2/crm.lead.list", b"start=0", "curl/8.5.0")
        lines = []
        for command in COMMANDS:
            lines += [f"\x1b[1m$ {NAME} {command}\x1b[0m"] + printed(command, folder) + [""]
        return lines
    finally:
        for each in running:
            each.terminate()
            each.wait()


def folded(line):
    """The terminal's own folding, of lines that are longer than it is wide."""
    if "\x1b" in line and not line.startswith("\x1b[1m$"):
        return [line]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    parts = [plain[at:at + COLUMNS] for at in range(0, max(len(plain), 1), COLUMNS)]
    return [f"\x1b[1m{part}\x1b[0m" for part in parts] if line.startswith("\x1b[1m$") else parts


def main():
    with tempfile.TemporaryDirectory() as folder:
        lines = [part for line in session(folder) for part in folded(line)]
    while lines and not lines[-1]:
        lines.pop()
    height = 19 * len(lines) + 32
    rows = "\n".join(f'<text x="16" y="{30 + 19 * at}">{spans(line)}</text>' for at, line in enumerate(lines) if line)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(f"{here}/session.svg", "w") as file:
        file.write(f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * 8 + 32} {height}" role="img" aria-label="A session in a terminal: translate, report, and the dry run of a brownout" font-family="ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13.2" xml:space="preserve">
<style>rect{{fill:#f5f7f8}}text{{fill:#14212b;white-space:pre}}.b{{font-weight:700}}.d{{fill:#5b6b78}}.r{{fill:#b3261e}}.g{{fill:#16794c}}.y{{fill:#8a5700}}@media (prefers-color-scheme:dark){{rect{{fill:#0e1419}}text{{fill:#e4ebf0}}.d{{fill:#94a5b2}}.r{{fill:#ff8a80}}.g{{fill:#58c48d}}.y{{fill:#e3ad4e}}}}</style>
<rect width="100%" height="100%" rx="10"/>
{rows}
</svg>
''')


main()
