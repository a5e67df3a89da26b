//! The replacement call, library by library, as the libraries' own documentation writes a call (pure): curl; PHP with CRest
//! and b24phpsdk 1.x; JavaScript with BX24.js and @bitrix24/b24jssdk 2.x (`actions.v2`, since `callMethod` is deprecated
//! there); Python with b24pysdk 1.x and fast-bitrix24 1.8.

use serde::Serialize;

use super::language::Language;
use super::parameters::Parameters;
use super::seen::Seen;
use super::syntax::{JAVASCRIPT, PHP, PYTHON, Syntax, json, shell};
use super::text::clean;
use crate::catalogue::Migration;

/// The replacement call for one library.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snippet {
    /// The library's name.
    pub name: String,
    /// The language, as a Markdown fence names it.
    pub language: &'static str,
    pub code: String,
    /// Whether the caller is known to use this library.
    pub own: bool,
}

/// What stands for a portal that is not known.
const SOME_PORTAL: &str = "https://your-portal.bitrix24.com";

/// The call, as far as all snippets need it.
pub(super) struct Call<'a> {
    /// The successor.
    pub(super) method: &'a str,
    pub(super) parameters: &'a Parameters,
    pub(super) seen: &'a Seen,
    pub(super) entry: Option<&'a Migration>,
    /// Whether the call can be used as it is.
    pub(super) ready: bool,
    /// Whether it keeps parameters that are not shown.
    pub(super) rest: bool,
    pub(super) language: &'a Language,
}

/// The call for one portal.
struct Writer<'a> {
    call: &'a Call<'a>,
    /// The portal's origin.
    portal: String,
    /// Whether an inbound webhook is used.
    webhook: bool,
    /// The word on parameters that are not shown.
    rest: Option<String>,
}

/// All snippets; those of the caller's own library first.
pub(super) fn all(call: &Call<'_>, portal: Option<&str>) -> Vec<Snippet> {
    let writer = Writer {
        call,
        portal: portal
            .map(|origin| clean(origin.trim_end_matches('/')))
            .unwrap_or_else(|| SOME_PORTAL.to_owned()),
        webhook: !matches!(call.seen.auth.as_str(), "oauth" | "session"),
        rest: call.rest.then(|| call.language.say("code-rest", &[])),
    };
    let own = call.seen.sdk.as_deref().unwrap_or_default();
    let own = own.split(' ').next().unwrap_or_default();
    let snippet = |name: &str, language, sdk: &str, code| Snippet {
        name: name.to_owned(),
        language,
        code,
        own: own == sdk,
    };
    if call.entry.and_then(|entry| entry.rest_version) == Some(3) {
        return vec![snippet("curl", "sh", "curl", writer.curl_v3())];
    }
    let mut snippets = vec![
        snippet("curl", "sh", "curl", writer.curl()),
        snippet("CRest", "php", "CRest", writer.crest()),
        snippet("b24phpsdk", "php", "b24phpsdk", writer.b24phpsdk()),
        snippet("BX24.js", "js", "browser", writer.bx24js()),
        snippet("@bitrix24/b24jssdk", "js", "b24jssdk", writer.b24jssdk()),
        snippet("b24pysdk", "python", "b24pysdk", writer.b24pysdk()),
        snippet(
            "fast-bitrix24",
            "python",
            "fast_bitrix24",
            writer.fast_bitrix24(),
        ),
    ];
    if call.seen.batch > 0 {
        let name = call.language.say("code-batch", &[]);
        snippets.insert(0, snippet(&name, "text", "", writer.command()));
    }
    snippets.sort_by_key(|snippet| !snippet.own);
    snippets
}

impl Writer<'_> {
    fn user(&self) -> String {
        clean(self.call.seen.user.as_deref().unwrap_or("USER"))
    }

    /// The portal's host, as b24pysdk wants it.
    fn host(&self) -> &str {
        let portal = self.portal.as_str();
        portal.split_once("://").map_or(portal, |(_, host)| host)
    }

    /// The line above a call that is only a sketch.
    fn head(&self, comment: &str) -> String {
        match self.call.ready {
            true => String::new(),
            false => format!("{comment} {}\n", self.call.language.say("code-sketch", &[])),
        }
    }

    fn literal(&self, syntax: &Syntax, depth: usize) -> String {
        syntax.literal(self.call.parameters, self.rest.as_deref(), depth)
    }

    /// The names below `result` at which the answer has its data.
    fn below_result(&self) -> Vec<&str> {
        let result = self.call.entry.and_then(|entry| entry.result.as_ref());
        let path = result.map_or("result", |result| result.successor.as_str());
        path.split('.').skip(1).collect()
    }

    /// In the encoding that the caller uses.
    fn curl(&self) -> String {
        let parameters = self.call.parameters;
        let pairs = parameters.flat();
        let each = |option: &str| {
            let pairs = pairs.iter();
            let words = pairs.map(|(name, value)| {
                format!(" \\\n  {option} {}", shell(&format!("{name}={value}")))
            });
            words.collect::<String>()
        };
        let sent = match self.call.seen.encoding.as_str() {
            "json" => format!(
                " \\\n  -H 'Content-Type: application/json' \\\n  -d {}",
                shell(&json(parameters).to_string())
            ),
            "multipart" => each("--form-string"),
            "query" => format!(" -G{}", each("--data-urlencode")),
            // Without a parameter curl would send a GET; a portal takes that as well.
            _ => each("--data-urlencode"),
        };
        let (setting, address, auth) = self.address("rest");
        let rest = self.rest.as_ref();
        let rest = rest.map(|rest| format!("# {rest}\n")).unwrap_or_default();
        format!(
            "{}{setting}\ncurl {address}{auth}{sent}\n{rest}",
            self.head("#")
        )
    }

    /// REST 3.0 has another address, and takes JSON only.
    fn curl_v3(&self) -> String {
        let (setting, address, auth) = self.address("rest/api");
        format!(
            "{}{setting}\ncurl {address}{auth} \\\n  -H 'Content-Type: application/json' \\\n  -d {}\n",
            self.head("#"),
            shell(&json(self.call.parameters).to_string())
        )
    }

    /// The line that sets the credential, the address, and the option that sends the credential.
    fn address(&self, folder: &str) -> (String, String, &'static str) {
        let format = match folder {
            "rest" => ".json",
            _ => "",
        };
        if self.webhook {
            let example = format!("{}/{folder}/{}/CODE/", self.portal, self.user());
            (
                format!(
                    "B24_WEBHOOK={}  # {}",
                    shell(&example),
                    self.call.language.say("code-webhook", &[])
                ),
                format!("\"${{B24_WEBHOOK}}{}{format}\"", self.call.method),
                "",
            )
        } else {
            (
                format!(
                    "B24_TOKEN='...'  # {}",
                    self.call.language.say("code-token", &[])
                ),
                shell(&format!(
                    "{}/{folder}/{}{format}",
                    self.portal, self.call.method
                )),
                " \\\n  -H \"Authorization: Bearer $B24_TOKEN\"",
            )
        }
    }

    /// `['items']` for `result.items`, in PHP or Python.
    fn index(&self, quote: char) -> String {
        let names = self.below_result();
        let names = names.iter().map(|name| format!("[{quote}{name}{quote}]"));
        names.collect()
    }

    /// `.items` for `result.items`, in JavaScript.
    fn member(&self) -> String {
        let names = self.below_result();
        names.iter().map(|name| format!(".{name}")).collect()
    }

    fn crest(&self) -> String {
        format!(
            "{}require_once __DIR__ . '/crest.php';\n\n$answer = CRest::call({}, {});\n$result = \
             $answer['result']{};\n",
            self.head(PHP.comment),
            (PHP.quote)(self.call.method),
            self.literal(&PHP, 0),
            self.index('\'')
        )
    }

    /// No test runs it: it says so.
    fn b24phpsdk(&self) -> String {
        let service = if self.webhook {
            "use Bitrix24\\SDK\\Services\\ServiceBuilderFactory;\n\n\
             $b24 = ServiceBuilderFactory::createServiceBuilderFromWebhook(getenv('B24_WEBHOOK'));\n"
                .to_owned()
        } else {
            format!(
                "// {}\n",
                self.call.language.say("code-builder", &[("name", "$b24")])
            )
        };
        format!(
            "{}// {}\n{service}$result = $b24->core->call({}, {})->getResponseData()->getResult(){};\n",
            self.head(PHP.comment),
            self.call.language.say("code-not-run", &[]),
            (PHP.quote)(self.call.method),
            self.literal(&PHP, 0),
            self.index('\'')
        )
    }

    fn bx24js(&self) -> String {
        format!(
            "{}BX24.callMethod({}, {}, (result) => {{\n  if (result.error()) console.error(result.error());\n  else \
             console.log(result.data(){});\n}});\n",
            self.head(JAVASCRIPT.comment),
            (JAVASCRIPT.quote)(self.call.method),
            self.literal(&JAVASCRIPT, 0),
            self.member()
        )
    }

    fn b24jssdk(&self) -> String {
        let client = if self.webhook {
            "import { B24Hook } from '@bitrix24/b24jssdk';\n\nconst b24 = B24Hook.fromWebhookUrl(process.env.B24_WEBHOOK);\n"
        } else {
            "import { initializeB24Frame } from '@bitrix24/b24jssdk';\n\nconst b24 = await initializeB24Frame();\n"
        };
        format!(
            "{}{client}const response = await b24.actions.v2.call.make({{\n  method: {},\n  params: {},\n}});\nif \
             (!response.isSuccess) throw new Error(response.getErrorMessages().join('; '));\nconst result = \
             response.getData().result{};\n",
            self.head(JAVASCRIPT.comment),
            (JAVASCRIPT.quote)(self.call.method),
            self.literal(&JAVASCRIPT, 1),
            self.member()
        )
    }

    fn b24pysdk(&self) -> String {
        let token = if self.webhook {
            format!(
                "import os\n\nfrom b24pysdk import BitrixWebhook\n\ntoken = BitrixWebhook(\n    domain={},\n    \
                 webhook_token=os.environ[\"B24_WEBHOOK_TOKEN\"],  # {}/CODE\n)\n",
                (PYTHON.quote)(self.host()),
                self.user()
            )
        } else {
            format!(
                "# {}\n",
                self.call.language.say("code-builder", &[("name", "token")])
            )
        };
        format!(
            "{}{token}result = token.call_method({}, {})[\"result\"]{}\n",
            self.head(PYTHON.comment),
            (PYTHON.quote)(self.call.method),
            self.literal(&PYTHON, 0),
            self.index('"')
        )
    }

    /// `call` refuses an empty dict unless it is raw, and warns of lists, which `get_all` reads whole.
    fn fast_bitrix24(&self) -> String {
        let (function, raw) = match self.call.parameters.is_empty() {
            _ if self.call.method.ends_with(".list") => ("get_all", ""),
            true => ("call", ", raw=True"),
            false => ("call", ""),
        };
        format!(
            "{}import os\n\nfrom fast_bitrix24 import Bitrix\n\nbx = Bitrix(os.environ[\"B24_WEBHOOK\"])\nresult = \
             bx.{function}({}, {}{raw})\n",
            self.head(PYTHON.comment),
            (PYTHON.quote)(self.call.method),
            self.literal(&PYTHON, 0)
        )
    }

    /// The text of a batch's command, before whatever library encodes it.
    fn command(&self) -> String {
        let pairs = self.call.parameters.flat();
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let parameters = if pairs.is_empty() {
            String::new()
        } else {
            format!("?{}", pairs.join("&"))
        };
        let rest = self.rest.as_ref();
        let rest = rest.map(|rest| format!("# {rest}\n")).unwrap_or_default();
        format!("{}{}{parameters}\n{rest}", self.head("#"), self.call.method)
    }
}
