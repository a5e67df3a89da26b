//! Which library a call was made with: by what each is known to send (measured on the published packages).

use crate::protocol::target::query;

/// Product tokens of `User-Agent`, and the name by which the library goes.
const PRODUCTS: &[(&str, &str)] = &[
    ("b24-js-sdk", "b24jssdk"),
    ("b24-php-sdk-vendor", "b24phpsdk"),
    ("b24-python-sdk-vendor", "b24pysdk"),
    ("Bitrix24 CRest PHP", "CRest"),
    ("Bitrix24-PHP-SDK", "b24phpsdk"),
    ("fast-bitrix24", "fast_bitrix24"),
    ("fast_bitrix24", "fast_bitrix24"),
    ("aiohttp", "aiohttp"),
    ("python-requests", "python-requests"),
    ("python-httpx", "httpx"),
    ("Python-urllib", "urllib"),
    ("GuzzleHttp", "Guzzle"),
    ("Symfony HttpClient", "Symfony HttpClient"),
    ("axios", "axios"),
    ("node-fetch", "node-fetch"),
    ("undici", "undici"),
    ("Go-http-client", "Go"),
    ("okhttp", "okhttp"),
    ("Apache-HttpClient", "Apache HttpClient"),
    ("Java", "Java"),
    ("curl", "curl"),
    ("Wget", "Wget"),
    ("PostmanRuntime", "Postman"),
    ("insomnia", "Insomnia"),
    ("1C+Enterprise", "1C"),
    ("n8n", "n8n"),
    ("Make", "Make"),
    ("Integromat", "Make"),
    ("Zapier", "Zapier"),
    ("Mozilla", "browser"),
];

/// The library's name, with its version where it tells; from `User-Agent`, else from what the libraries add to a query.
pub(super) fn recognise(user_agent: Option<&str>, target: &[u8]) -> Option<String> {
    if let Some(sdk) = user_agent
        .and_then(by_user_agent)
        .filter(|sdk| sdk != "browser")
    {
        return Some(sdk);
    }
    by_query(&target[query(target)]).or_else(|| user_agent.and_then(by_user_agent))
}

fn by_user_agent(user_agent: &str) -> Option<String> {
    let (rest, name) = PRODUCTS.iter().find_map(|(product, name)| {
        let head = user_agent.get(..product.len())?;
        head.eq_ignore_ascii_case(product)
            .then(|| (&user_agent[product.len()..], *name))
    })?;
    let version: String = rest
        .trim_start_matches(['-', '/', ' ', 'v'])
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .take(16)
        .collect();
    let version = version.trim_end_matches('.');
    Some(if version.is_empty() || name == "browser" {
        name.to_owned()
    } else {
        format!("{name} {version}")
    })
}

/// `bx24_sdk_type` and `bx24_sdk_ver` are the JavaScript library's; `bx24_request_id` alone is the PHP one's.
fn by_query(query: &[u8]) -> Option<String> {
    let value = |name: &str| {
        query.split(|&byte| byte == b'&').find_map(|pair| {
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            std::str::from_utf8(value).ok()
        })
    };
    let version = value("bx24_sdk_ver").filter(|text| {
        (1..=16).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    match (value("bx24_sdk_type"), version) {
        (_, Some(version)) => Some(format!("b24jssdk {version}")),
        (Some(_), None) => Some("b24jssdk".to_owned()),
        (None, None) => value("bx24_request_id").map(|_| "b24phpsdk".to_owned()),
    }
}
