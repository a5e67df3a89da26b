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
    // aiohttp names Python first.
    let user_agent = match user_agent.split_once(' ') {
        Some((first, rest)) if first.starts_with("Python/") => rest,
        _ => user_agent,
    };
    let (rest, name) = PRODUCTS.iter().find_map(|(product, name)| {
        let (head, rest) = user_agent.split_at_checked(product.len())?;
        let ends = !rest.starts_with(|c: char| c.is_ascii_alphabetic());
        (ends && head.eq_ignore_ascii_case(product)).then_some((rest, *name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_known_by_what_they_send() {
        let of = |agent: &str| recognise(Some(agent), b"/rest/1/***/a");
        for (agent, sdk) in [
            ("b24-js-sdk/2.2.0", "b24jssdk 2.2.0"),
            ("b24-php-sdk-vendor-v-1.9.0-php-8.3.1", "b24phpsdk 1.9.0"),
            (
                "b24-python-sdk-vendor-v-1.3.2-python-3.12",
                "b24pysdk 1.3.2",
            ),
            ("Bitrix24 CRest PHP 1.36", "CRest 1.36"),
            ("Python/3.11 aiohttp/3.9.1", "aiohttp 3.9.1"),
            ("curl/8.5.0", "curl 8.5.0"),
            ("Mozilla/5.0 (X11; Linux x86_64)", "browser"),
            ("GuzzleHttp/7", "Guzzle 7"),
        ] {
            assert_eq!(of(agent).as_deref(), Some(sdk), "{agent}");
        }
        for agent in ["", "x", "b24", "\u{1f600}", "MakeBelieve"] {
            assert_eq!(of(agent), None, "{agent}");
        }
    }

    #[test]
    fn a_query_tells_where_the_user_agent_does_not() {
        let of = |target: &str, agent| recognise(agent, target.as_bytes());
        let js = "/rest/1/c/a?bx24_request_id=1&bx24_sdk_ver=2.2.0&bx24_sdk_type=b24-js-sdk";
        assert_eq!(
            of(js, Some("Mozilla/5.0")).as_deref(),
            Some("b24jssdk 2.2.0")
        );
        assert_eq!(of(js, None).as_deref(), Some("b24jssdk 2.2.0"));
        assert_eq!(
            of("/rest/1/c/a/?bx24_request_id=1", None).as_deref(),
            Some("b24phpsdk")
        );
        assert_eq!(
            of("/rest/1/c/a?bx24_sdk_ver=<b>&bx24_sdk_type=x", None).as_deref(),
            Some("b24jssdk")
        );
        assert_eq!(of("/rest/1/c/a?x=1#bx24_request_id=1", None), None);
    }
}
