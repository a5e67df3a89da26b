//! Requests written by hand, most of them wrong in one way, and the mutations of right ones. What is expected of each
//! is not written here: the strict reader says it.

use crate::support::Dice;

/// Names tell the story; bytes are as they travel.
pub fn cases() -> Vec<(String, Vec<u8>)> {
    let mut cases = Vec::new();
    let mut add = |name: &str, bytes: &[u8]| cases.push((name.to_owned(), bytes.to_vec()));
    for (name, line) in REQUEST_LINES {
        add(name, &[*line, b"\r\nHost: h\r\n\r\n"].concat());
    }
    for (name, fields) in FIELDS {
        add(
            name,
            &[b"GET /fields HTTP/1.1\r\n", *fields, b"\r\n"].concat(),
        );
    }
    for (name, fields, body) in FRAMINGS {
        let head = [b"POST /framing HTTP/1.1\r\nHost: h\r\n", *fields, b"\r\n"].concat();
        add(name, &[&head, *body].concat());
    }
    for (name, body) in CHUNKS {
        let head = b"POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        add(name, &[head, *body].concat());
    }
    for (name, bytes) in WHOLE {
        add(name, bytes);
    }
    cases
}

const REQUEST_LINES: &[(&str, &[u8])] = &[
    ("a plain request line", b"GET /a HTTP/1.1"),
    ("a method of its own", b"FROB /a HTTP/1.1"),
    ("a method in lower case", b"get /a HTTP/1.1"),
    (
        "a method with every token character",
        b"!#$%&'*+-.^_`|~ /a HTTP/1.1",
    ),
    ("a method with a parenthesis", b"GE(T /a HTTP/1.1"),
    ("a method with a comma", b"GET,POST /a HTTP/1.1"),
    ("a method with a NUL", b"GE\0T /a HTTP/1.1"),
    ("a method beyond ASCII", b"G\xc3\x89T /a HTTP/1.1"),
    ("a space before the method", b" GET /a HTTP/1.1"),
    ("two spaces before the target", b"GET  /a HTTP/1.1"),
    ("two spaces before the version", b"GET /a  HTTP/1.1"),
    ("a tab before the target", b"GET\t/a HTTP/1.1"),
    ("a tab before the version", b"GET /a\tHTTP/1.1"),
    ("a space behind the version", b"GET /a HTTP/1.1 "),
    ("a space in the target", b"GET /a b HTTP/1.1"),
    ("a vertical tab in the target", b"GET /a\x0bb HTTP/1.1"),
    ("a NUL in the target", b"GET /a\0b HTTP/1.1"),
    ("a bare CR in the target", b"GET /a\rb HTTP/1.1"),
    ("a DEL in the target", b"GET /a\x7fb HTTP/1.1"),
    ("no target", b"GET HTTP/1.1"),
    ("an empty target", b"GET  HTTP/1.1"),
    ("no version", b"GET /a"),
    ("a version in lower case", b"GET /a http/1.1"),
    ("a version that is too new", b"GET /a HTTP/2.0"),
    ("a version without its minor", b"GET /a HTTP/1"),
    ("a version with an odd minor", b"GET /a HTTP/1.x"),
    ("a version with two digits", b"GET /a HTTP/1.10"),
    ("a version with a zero before it", b"GET /a HTTP/01.1"),
    ("HTTP/0.9 spelt out", b"GET /a HTTP/0.9"),
    ("another protocol", b"GET /a ICY/1.1"),
    ("HTTP/1.0", b"GET /a HTTP/1.0"),
    ("a minor version to come", b"GET /a HTTP/1.7"),
    ("a fragment", b"GET /a#b HTTP/1.1"),
    ("a fragment in the query", b"GET /a?b#c HTTP/1.1"),
    ("a word as target", b"GET first HTTP/1.1"),
    ("a host and port as target", b"GET host:80 HTTP/1.1"),
    ("an at sign as target", b"GET @evil/ HTTP/1.1"),
    ("a query alone as target", b"GET ?a=1 HTTP/1.1"),
    ("a backslash as target", b"GET \\a HTTP/1.1"),
    (
        "two slashes before a host",
        b"GET //evil.example/a HTTP/1.1",
    ),
    ("an absolute target", b"GET http://h/a?b HTTP/1.1"),
    (
        "an absolute target without a path",
        b"GET http://h HTTP/1.1",
    ),
    (
        "an absolute target with a query alone",
        b"GET http://h?b=1 HTTP/1.1",
    ),
    ("an absolute target in capitals", b"GET HTTP://h/a HTTP/1.1"),
    (
        "an absolute target of another host",
        b"GET http://elsewhere.example/a HTTP/1.1",
    ),
    (
        "an absolute target with a user",
        b"GET http://u:p@h/a HTTP/1.1",
    ),
    (
        "an absolute target without a host",
        b"GET http:///a HTTP/1.1",
    ),
    (
        "an absolute target with a port alone",
        b"GET http://:80/a HTTP/1.1",
    ),
    (
        "an absolute target of another scheme",
        b"GET gopher://h/a HTTP/1.1",
    ),
    (
        "an absolute target with a script",
        b"GET javascript:alert(1) HTTP/1.1",
    ),
    (
        "an absolute target with one slash",
        b"GET http:/h/a HTTP/1.1",
    ),
    ("a star for OPTIONS", b"OPTIONS * HTTP/1.1"),
    ("a star for GET", b"GET * HTTP/1.1"),
    ("CONNECT to a host", b"CONNECT h:443 HTTP/1.1"),
    ("CONNECT to a path", b"CONNECT /a HTTP/1.1"),
    (
        "raw angle brackets in a filter",
        b"GET /rest/1/c/crm.deal.list?filter[>ID]=5&filter[<ID]=9 HTTP/1.1",
    ),
    ("raw quotes and backticks", b"GET /a?b=\"c\"&d=`e` HTTP/1.1"),
    (
        "raw braces, pipes, carets, backslashes",
        b"GET /a?{b}|c^d\\e HTTP/1.1",
    ),
    ("raw cp1251", b"GET /a?\xcf\xf0\xe8\xe2\xe5\xf2 HTTP/1.1"),
    (
        "raw UTF-8 in the path",
        b"GET /\xd0\xbf\xd1\x83\xd1\x82\xd1\x8c HTTP/1.1",
    ),
    ("broken percent escapes", b"GET /a%zz%2 HTTP/1.1"),
    ("an escaped NUL and slash", b"GET /a%00b%2Fc HTTP/1.1"),
    (
        "dot segments and doubled slashes",
        b"GET /a//b/./c/../d HTTP/1.1",
    ),
    (
        "dot segments above the root",
        b"GET /../../etc/passwd HTTP/1.1",
    ),
];

const FIELDS: &[(&str, &[u8])] = &[
    ("no Host", b"X: 1\r\n"),
    ("two Hosts", b"Host: a\r\nHost: b\r\n"),
    ("two equal Hosts", b"Host: h\r\nHost: h\r\n"),
    ("two Hosts in other case", b"Host: h\r\nhOST: h\r\n"),
    ("an empty Host", b"Host: \r\n"),
    ("a list of Hosts", b"Host: a, b\r\n"),
    ("a list of Hosts without a space", b"Host: a,b\r\n"),
    ("a Host with a user", b"Host: u@h\r\n"),
    ("a Host with a path", b"Host: h/a\r\n"),
    ("a Host with a query", b"Host: h?a\r\n"),
    ("a Host with a scheme", b"Host: http://h\r\n"),
    ("a Host with a space", b"Host: a b\r\n"),
    ("a Host with a tab", b"Host: a\tb\r\n"),
    ("a Host with a port", b"Host: h:8080\r\n"),
    ("a Host with an empty port", b"Host: h:\r\n"),
    ("a Host with a word as port", b"Host: h:port\r\n"),
    ("a Host with a negative port", b"Host: h:-1\r\n"),
    ("a Host with a port too large", b"Host: h:99999\r\n"),
    ("a Host with two ports", b"Host: h:80:80\r\n"),
    ("a Host of a port alone", b"Host: :80\r\n"),
    ("a Host that is IPv6", b"Host: [::1]:80\r\n"),
    ("a Host that is IPv6 without brackets", b"Host: ::1\r\n"),
    ("a Host that is half in brackets", b"Host: [::1\r\n"),
    ("a Host with quotes", b"Host: \"h\"\r\n"),
    ("a Host with angle brackets", b"Host: <h>\r\n"),
    ("a Host with a backslash", b"Host: h\\a\r\n"),
    ("a Host beyond ASCII", b"Host: h\xc3\xa9\r\n"),
    ("a Host with a NUL", b"Host: h\0x\r\n"),
    ("a Host with an underscore", b"Host: a_b.example\r\n"),
    ("a Host with a percent escape", b"Host: a%2eb\r\n"),
    ("a Host with whitespace around", b"Host: \t h \t \r\n"),
    ("a Host struck out by Connection", b"Host: h\r\nConnection: host\r\n"),
    ("a space before the colon", b"Host: h\r\nX : 1\r\n"),
    ("a tab before the colon", b"Host: h\r\nX\t: 1\r\n"),
    ("a space before Host's colon", b"Host : h\r\n"),
    ("a line without a colon", b"Host: h\r\nnothing\r\n"),
    ("a line of a colon alone", b"Host: h\r\n:\r\n"),
    ("a line without a name", b"Host: h\r\n: 1\r\n"),
    ("a name with a space", b"Host: h\r\nA B: 1\r\n"),
    ("a name with a slash", b"Host: h\r\nA/B: 1\r\n"),
    ("a name with a quote", b"Host: h\r\nA\"B: 1\r\n"),
    ("a name with a NUL", b"Host: h\r\nA\0B: 1\r\n"),
    ("a name with a bare CR", b"Host: h\r\nA\rB: 1\r\n"),
    ("a name beyond ASCII", b"Host: h\r\n\xc3\x89: 1\r\n"),
    ("a name in brackets", b"Host: h\r\n[A]: 1\r\n"),
    ("a name of every token character", b"Host: h\r\n!#$%&'*+-.^_`|~9aZ: 1\r\n"),
    ("a value beyond ASCII", b"Host: h\r\nX: \xd0\xbf \xff\r\n"),
    ("an empty value", b"Host: h\r\nX:\r\nY: \r\n"),
    ("no space behind the colon", b"Host:h\r\nX:1\r\n"),
    ("whitespace around a value", b"Host: h\r\nX: \t 1 2 \t \r\n"),
    ("colons in a value", b"Host: h\r\nX: a:b::c\r\n"),
    ("a bare CR in a value", b"Host: h\r\nX: a\rb\r\n"),
    ("a bare CR before the end of a line", b"Host: h\r\nX: a\r\r\n"),
    ("a bare CR that hides a field", b"Host: h\r\nX: a\rTransfer-Encoding: chunked\r\n"),
    ("a NUL in a value", b"Host: h\r\nX: a\0b\r\n"),
    ("a control in a value", b"Host: h\r\nX: a\x01b\r\n"),
    ("a DEL in a value", b"Host: h\r\nX: a\x7fb\r\n"),
    ("a form feed in a value", b"Host: h\r\nX: a\x0cb\r\n"),
    ("a tab in a value", b"Host: h\r\nX: a\tb\r\n"),
    ("a folded line", b"Host: h\r\nX: a\r\n b\r\n"),
    ("a folded line with a tab", b"Host: h\r\nX: a\r\n\tb\r\n"),
    ("a folded line that looks like a field", b"Host: h\r\nX: a\r\n Y: b\r\n"),
    ("a folded Host", b"Host:\r\n h\r\n"),
    ("an empty folded line", b"Host: h\r\nX: a\r\n \r\n"),
    ("a folded line before the first field", b" X: a\r\nHost: h\r\n"),
    ("a bare LF behind a field", b"Host: h\nX: 1\r\n"),
    ("a bare LF in a value hides a field", b"Host: h\r\nX: 1\nY: 2\r\n"),
    ("the same name three times, others between", b"Host: h\r\nX: 1\r\nY: 2\r\nx: 3\r\nZ: 4\r\nX: 1\r\n"),
    ("names in odd case", b"hOsT: h\r\ncOoKiE: a=1\r\nX-ODD-cAsE: 1\r\n"),
    ("hop-by-hop fields", b"Host: h\r\nConnection: x-mine, keep-alive\r\nX-Mine: 1\r\nX-Kept: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\n"),
    ("Connection that names what is ours", b"Host: h\r\nConnection: x-forwarded-for, x-forwarded-proto, host\r\nX-Kept: 1\r\n"),
    ("Connection that names what types the body", b"Host: h\r\nConnection: content-type, content-length, transfer-encoding\r\nContent-Type: a/b\r\n"),
    ("Connection with odd members", b"Host: h\r\nConnection: ,, \"x\", keep-alive ,\r\nX-Kept: 1\r\n"),
    ("two Connections", b"Host: h\r\nConnection: x-a\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2\r\nX-C: 3\r\n"),
    ("Proxy-Connection", b"Host: h\r\nProxy-Connection: keep-alive\r\nX-Kept: 1\r\n"),
    ("an upgrade to h2c", b"Host: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
    ("forged forwarding fields", b"Host: h\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Kept: 1\r\n"),
];

const FRAMINGS: &[(&str, &[u8], &[u8])] = &[
    ("a length", b"Content-Length: 3\r\n", b"abc"),
    ("a length of zero", b"Content-Length: 0\r\n", b""),
    ("a POST without a length", b"", b""),
    (
        "a length with zeros before it",
        b"Content-Length: 003\r\n",
        b"abc",
    ),
    ("a length with a plus", b"Content-Length: +3\r\n", b"abc"),
    ("a length with a minus", b"Content-Length: -3\r\n", b"abc"),
    ("a length of minus zero", b"Content-Length: -0\r\n", b""),
    (
        "a length in hexadecimal",
        b"Content-Length: 0x3\r\n",
        b"abc",
    ),
    ("a length with a point", b"Content-Length: 3.0\r\n", b"abc"),
    (
        "a length with an exponent",
        b"Content-Length: 3e0\r\n",
        b"abc",
    ),
    (
        "a length with a word behind it",
        b"Content-Length: 3 bytes\r\n",
        b"abc",
    ),
    ("a length in two words", b"Content-Length: 1 2\r\n", b"abc"),
    (
        "a length with an underscore",
        b"Content-Length: 1_0\r\n",
        b"abcdefghij",
    ),
    ("a length in quotes", b"Content-Length: \"3\"\r\n", b"abc"),
    (
        "a length in other digits",
        b"Content-Length: \xd9\xa3\r\n",
        b"abc",
    ),
    ("an empty length", b"Content-Length: \r\n", b""),
    (
        "a length beyond 64 bits",
        b"Content-Length: 18446744073709551619\r\n",
        b"abc",
    ),
    (
        "a length far beyond 64 bits",
        b"Content-Length: 99999999999999999999999999999999\r\n",
        b"abc",
    ),
    ("a length of a lone comma", b"Content-Length: ,\r\n", b""),
    (
        "a length in a list of one",
        b"Content-Length: 3,\r\n",
        b"abc",
    ),
    (
        "a length said twice in a list",
        b"Content-Length: 3, 3\r\n",
        b"abc",
    ),
    (
        "lengths that differ in a list",
        b"Content-Length: 3, 4\r\n",
        b"abcd",
    ),
    (
        "a length said twice",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"abc",
    ),
    (
        "lengths that differ",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"abcd",
    ),
    (
        "lengths that differ, other case",
        b"Content-Length: 3\r\ncontent-length: 0\r\n",
        b"abc",
    ),
    (
        "a length said twice in two spellings",
        b"Content-Length: 3\r\nContent-Length: 03\r\n",
        b"abc",
    ),
    (
        "a space before the length's colon",
        b"Content-Length : 3\r\n",
        b"abc",
    ),
    ("a length behind a tab", b"Content-Length:\t3\t\r\n", b"abc"),
    (
        "a length in a folded line",
        b"Content-Length:\r\n 3\r\n",
        b"abc",
    ),
    ("a length with a NUL", b"Content-Length: 3\0\r\n", b"abc"),
    (
        "a length with a bare CR",
        b"Content-Length: 3\r4\r\n",
        b"abc",
    ),
    (
        "a length with a vertical tab before it",
        b"Content-Length: \x0b3\r\n",
        b"abc",
    ),
    (
        "a name that looks like a length",
        b"Content_Length: 5\r\nContent-Length: 3\r\n",
        b"abc",
    ),
    (
        "chunks",
        b"Transfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunks in odd case",
        b"tRANSFER-eNCODING: cHuNkEd\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a length before chunks",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunks before a length",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunks and a length that hides a request",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"1\r\nZ\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "a length and a coding not known",
        b"Content-Length: 3\r\nTransfer-Encoding: frob\r\n",
        b"abc",
    ),
    (
        "gzip, then chunked",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunked, then gzip",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunked in two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "gzip and chunked in two lines",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunked and identity in two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "identity",
        b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n",
        b"abc",
    ),
    ("identity alone", b"Transfer-Encoding: identity\r\n", b""),
    ("gzip alone", b"Transfer-Encoding: gzip\r\n", b"abc"),
    (
        "a coding not known",
        b"Transfer-Encoding: xchunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a coding that starts with chunked",
        b"Transfer-Encoding: chunkedx\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunked in quotes",
        b"Transfer-Encoding: \"chunked\"\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunked with a parameter",
        b"Transfer-Encoding: chunked;q=1\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    ("an empty coding", b"Transfer-Encoding: \r\n", b""),
    (
        "an empty coding and a length",
        b"Transfer-Encoding: \r\nContent-Length: 3\r\n",
        b"abc",
    ),
    (
        "a comma before chunked",
        b"Transfer-Encoding: , chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a comma behind chunked",
        b"Transfer-Encoding: chunked,\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a vertical tab before chunked",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a NUL behind chunked",
        b"Transfer-Encoding: chunked\0\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a tab before chunked",
        b"Transfer-Encoding:\tchunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a space before the coding's colon",
        b"Transfer-Encoding : chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a folded coding",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a name that looks like a coding",
        b"Transfer_Encoding: chunked\r\nContent-Length: 3\r\n",
        b"abc",
    ),
    (
        "an expectation that is met",
        b"Expect: 100-continue\r\nContent-Length: 3\r\n",
        b"abc",
    ),
    (
        "an expectation not known",
        b"Expect: more\r\nContent-Length: 3\r\n",
        b"abc",
    ),
    (
        "a length that Connection names",
        b"Connection: content-length\r\nContent-Length: 3\r\n",
        b"abc",
    ),
    (
        "chunks that Connection names",
        b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    ("less than the length", b"Content-Length: 30\r\n", b"abc"),
];

const CHUNKS: &[(&str, &[u8])] = &[
    ("no chunk but the last", b"0\r\n\r\n"),
    ("a size in capitals", b"A\r\n0123456789\r\n0\r\n\r\n"),
    (
        "a size with zeros before it",
        b"0003\r\nabc\r\n0000\r\n\r\n",
    ),
    (
        "a size with very many zeros",
        b"00000000000000000000000003\r\nabc\r\n0\r\n\r\n",
    ),
    ("a size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a plus", b"+3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a minus", b"-3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a letter behind it", b"3g\r\nabc\r\n0\r\n\r\n"),
    ("a size with an underscore", b"0_3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a space before it", b" 3\r\nabc\r\n0\r\n\r\n"),
    ("a size with a space behind it", b"3 \r\nabc\r\n0\r\n\r\n"),
    ("a size with a tab behind it", b"3\t\r\nabc\r\n0\r\n\r\n"),
    (
        "a size with a word behind a space",
        b"3 x\r\nabc\r\n0\r\n\r\n",
    ),
    ("no size", b"\r\nabc\r\n0\r\n\r\n"),
    (
        "a size beyond 64 bits",
        b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a size of all ones",
        b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "a size of too many ones",
        b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    ),
    ("a size that ends with a bare LF", b"3\nabc\r\n0\r\n\r\n"),
    ("a size that ends with a bare CR", b"3\rabc\r\n0\r\n\r\n"),
    ("a bare CR in a size line", b"3\r\r\nabc\r\n0\r\n\r\n"),
    ("a NUL behind a size", b"3\0\r\nabc\r\n0\r\n\r\n"),
    ("data longer than its size", b"3\r\nabcd\r\n0\r\n\r\n"),
    ("data shorter than its size", b"5\r\nabc\r\n0\r\n\r\n"),
    ("data that ends with a bare LF", b"3\r\nabc\n0\r\n\r\n"),
    ("data that ends with a bare CR", b"3\r\nabc\r0\r\n\r\n"),
    ("data without an end", b"3\r\nabc0\r\n\r\n"),
    ("the last chunk ends with a bare LF", b"3\r\nabc\r\n0\n\r\n"),
    ("no empty line behind the last chunk", b"3\r\nabc\r\n0\r\n"),
    ("a bare LF as the empty line", b"3\r\nabc\r\n0\r\n\n"),
    ("no last chunk", b"3\r\nabc\r\n"),
    ("an extension", b"3;a\r\nabc\r\n0;b\r\n\r\n"),
    ("an extension with a value", b"3;a=b\r\nabc\r\n0\r\n\r\n"),
    (
        "an extension with a quoted value",
        b"3;a=\"b c\"\r\nabc\r\n0\r\n\r\n",
    ),
    ("two extensions", b"3;a=1;b=2\r\nabc\r\n0\r\n\r\n"),
    (
        "an extension with whitespace",
        b"3 ; a = b\r\nabc\r\n0\r\n\r\n",
    ),
    ("an empty extension", b"3;\r\nabc\r\n0\r\n\r\n"),
    ("an extension with a bare LF", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("an extension with a bare CR", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("an extension with a NUL", b"3;a\0b\r\nabc\r\n0\r\n\r\n"),
    (
        "an extension with a control",
        b"3;a\x01\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "an extension that ends with a bare LF",
        b"3;a\nabc\r\n0\r\n\r\n",
    ),
    (
        "a quoted CRLF in an extension",
        b"3;a=\"\r\nabc\r\n0\r\n\r\n",
    ),
    ("a trailer", b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"),
    (
        "a trailer that frames",
        b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
    (
        "a trailer that routes",
        b"3\r\nabc\r\n0\r\nHost: evil\r\n\r\n",
    ),
    (
        "a trailer without a colon",
        b"3\r\nabc\r\n0\r\nnothing\r\n\r\n",
    ),
    (
        "a trailer with a space before its colon",
        b"3\r\nabc\r\n0\r\nX : 1\r\n\r\n",
    ),
    ("a trailer with a NUL", b"3\r\nabc\r\n0\r\nX: a\0b\r\n\r\n"),
    (
        "a trailer with a bare CR",
        b"3\r\nabc\r\n0\r\nX: a\rb\r\n\r\n",
    ),
    (
        "a trailer that ends with a bare LF",
        b"3\r\nabc\r\n0\r\nX: a\n\r\n",
    ),
    ("a folded trailer", b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n"),
    (
        "bytes of another request behind the end",
        b"3\r\nabc\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    (
        "rubbish behind the end",
        b"3\r\nabc\r\n0\r\n\r\nrubbish\r\n\r\n",
    ),
];

const WHOLE: &[(&str, &[u8])] = &[
    ("an empty line before the request", b"\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a bare LF before the request", b"\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("bare LFs everywhere", b"GET /a HTTP/1.1\nHost: h\n\n"),
    ("bare CRs everywhere", b"GET /a HTTP/1.1\rHost: h\r\r"),
    ("a bare LF behind the request line", b"GET /a HTTP/1.1\nHost: h\r\n\r\n"),
    ("a bare LF as the empty line", b"GET /a HTTP/1.1\r\nHost: h\r\n\n"),
    ("LF and CR the wrong way round", b"GET /a HTTP/1.1\n\rHost: h\n\r\n\r"),
    ("HTTP/0.9", b"GET /a\r\n\r\n"),
    ("HTTP/1.0 without Host", b"GET /a HTTP/1.0\r\n\r\n"),
    ("HTTP/1.0 with two Hosts", b"GET /a HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("HTTP/1.0 with a length", b"POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"),
    ("HTTP/1.0 with chunks", b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("HTTP/1.0 with chunks and a length", b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("HTTP/1.0 kept alive", b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n"),
    ("a GET with a body", b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
    ("a GET with chunks", b"GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("a HEAD with chunks", b"HEAD /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("a DELETE with a body", b"DELETE /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
    ("a body that looks like a request", b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 33\r\n\r\nGET /inner HTTP/1.1\r\nHost: evil\r\n"),
    ("two requests at once", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("three requests at once with bodies", b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nxPOST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\nHEAD /c HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("two raw requests at once", b"GET /a?f[>ID]=1 HTTP/1.1\r\nHost: h\r\n\r\nGET /b?f[<ID]=\"2\" HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a right request and a wrong one", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\n\r\n"),
    ("a right request and half of one", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHo"),
    ("a request that closes and one behind it", b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("an empty line between two requests", b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("rubbish", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ("half a head", b"GET /a HTTP/1.1\r\nHost: h\r\nX-Half: "),
    ("half a request line", b"GET /a HT"),
    ("an absolute target and another Host", b"GET http://a.example/x HTTP/1.1\r\nHost: b.example\r\n\r\n"),
    ("an absolute target and no Host", b"GET http://a.example/x HTTP/1.1\r\n\r\n"),
    ("a WebSocket outside of REST that the portal declines", b"GET /sub HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
    ("TRACE", b"TRACE /a HTTP/1.1\r\nHost: h\r\n\r\n"),
];

/// Right requests of every shape, to be mutated.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        &b"GET /rest/1/c/crm.deal.list?filter[>ID]=5&select[]=ID HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n"[..],
        b"POST /rest/1/c/crm.deal.add HTTP/1.1\r\nHost: h:8080\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"fields\":{\"A\":",
        b"POST /rest/crm.deal.update.json?auth=x HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n10;ext=\"q\"\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"GET http://portal.example/a/b?c=d HTTP/1.1\r\nHost: portal.example\r\nX-One: 1\r\nX-Two: 2\r\nX-One: 3\r\n\r\n",
        b"GET /old HTTP/1.0\r\nUser-Agent: x\r\n\r\n",
        b"POST /old HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nokGET /next HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbodyGET /c HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nz",
        b"HEAD /h HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, x-drop\r\nX-Drop: 1\r\nCookie: a=1; b=2\r\n\r\n",
        b"PUT /p HTTP/1.1\r\nHost: [::1]:9\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        b"DELETE /d?x=%3E HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
    ]
    .iter()
    .map(|seed| seed.to_vec())
    .collect()
}

const PIECES: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b":",
    b",",
    b";",
    b"=",
    b"\"",
    b"/",
    b"#",
    b"?",
    b"@",
    b"*",
    b"<",
    b">",
    b"\xff",
    b"0",
    b"1",
    b"9",
    b"f",
    b"-",
    b"+",
    b"x",
    b"0x",
    b"\r\n\r\n",
    b"\r\n ",
    b"\x7f",
    b"chunked",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"0\r\n\r\n",
];

const LINES: &[&[u8]] = &[
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length : 5\r\n",
    b"Host: other\r\n",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b"X-New: 1\r\n",
    b" folded\r\n",
    b"nothing\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"TE: trailers\r\n",
    b"Upgrade: h2c\r\n",
    b"X: a\rb\r\n",
];

/// One seed with one to three changes.
pub fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = dice.pick(seeds).clone();
    for _ in 0..=dice.below(3) {
        mutate(dice, &mut bytes);
    }
    if bytes.is_empty() {
        bytes.push(b'G');
    }
    bytes
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let at = dice.below(bytes.len());
    let starts: Vec<usize> = std::iter::once(0)
        .chain(memchr::memmem::find_iter(bytes, b"\r\n").map(|at| at + 2))
        .collect();
    match dice.below(10) {
        0 => {
            bytes.remove(at);
        }
        1 | 2 => {
            let piece = dice.pick(PIECES).to_vec();
            bytes.splice(at..at, piece);
        }
        3 | 4 => {
            let piece = dice.pick(PIECES).to_vec();
            bytes.splice(at..=at, piece);
        }
        5 | 6 => {
            let line = dice.pick(LINES).to_vec();
            let at = *dice.pick(&starts);
            bytes.splice(at..at, line);
        }
        7 => {
            let line = dice.below(starts.len());
            let end = starts.get(line + 1).copied().unwrap_or(bytes.len());
            let copy = bytes[starts[line]..end].to_vec();
            let at = *dice.pick(&starts);
            bytes.splice(at..at, copy);
        }
        8 => {
            let line = dice.below(starts.len());
            let end = starts.get(line + 1).copied().unwrap_or(bytes.len());
            bytes.drain(starts[line]..end);
        }
        _ => bytes[at] = u8::try_from(dice.below(256)).unwrap_or(b'x'),
    }
}
