//! What all pages have around their content.

use super::html::Text;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A page.
pub(super) struct Page<'a> {
    /// HTML already.
    pub(super) title: &'a str,
    pub(super) portal: Option<&'a str>,
    /// The version of what is shown, which the live view goes on from.
    pub(super) version: &'a str,
    /// Whether the page is kept up to date.
    pub(super) live: bool,
    /// HTML already.
    pub(super) content: &'a str,
}

impl Page<'_> {
    /// The document; `now` is in milliseconds since 1970.
    pub(super) fn html(&self, nonce: &str, now: u64) -> String {
        let portal = self
            .portal
            .map(|portal| format!("<bdi class=portal>{}</bdi>", Text(portal)))
            .unwrap_or_default();
        let live = if self.live {
            "<span id=live class=idle role=status>not live</span>"
        } else {
            ""
        };
        format!(
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport \
             content=\"width=device-width, initial-scale=1\"><meta name=color-scheme content=\"light dark\"><meta \
             name=robots content=noindex><title>{title} · b24-migration-proxy</title><link rel=icon \
             href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect \
             width='16' height='16' rx='4' fill='%230b7a75'/%3E%3Cpath d='M3 8h8M8 4l4 4-4 4' fill='none' \
             stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E\"><style nonce=\"{nonce}\">{STYLE}</style></head><body \
             data-version=\"{version}\" data-now=\"{now}\"><a class=skip href=\"#main\">To the content</a><header class=top><h1><a \
             href=\"/\">b24-migration-proxy</a></h1>{portal}<span class=gap></span>{live}</header><main \
             id=main>{content}</main><footer><span>b24-migration-proxy {release}</span><a \
             href=\"/metrics\">Metrics</a><a href=\"/api/\">API</a><a href=\"/readyz\">Readiness</a></footer><script \
             nonce=\"{nonce}\">{SCRIPT}</script></body></html>",
            title = self.title,
            version = Text(self.version),
            content = self.content,
            release = env!("CARGO_PKG_VERSION"),
        )
    }
}
