//! The replacement call, library by library, as the libraries' own documentation writes a call (pure): curl; PHP with CRest
//! and b24phpsdk 1.x; JavaScript with BX24.js and @bitrix24/b24jssdk 2.x (`actions.v2`, since `callMethod` is deprecated
//! there); Python with b24pysdk 1.x and fast-bitrix24 1.8.

use super::parameters::Parameters;
use super::syntax::{JAVASCRIPT, PHP, PYTHON, json, shell};
use super::{Snippet, clean};
use crate::telemetry::live::Row;

/// What stands for a portal that is not known.
const SOME_PORTAL: &str = "https://your-portal.bitrix24.com";

/// The call, as far as all snippets need it.
struct Call<'a> {
    /// The successor.
    method: &'a str,
    parameters: &'a Parameters,
    row: &'a Row,
    /// The portal's origin.
    portal: String,
    /// Whether an inbound webhook is used.
    webhook: bool,
}

/// All snippets; those of the caller's own library first.
pub(super) fn all(
    method: &str,
    parameters: &Parameters,
    row: &Row,
    portal: Option<&str>,
) -> Vec<Snippet> {
    let call = Call {
        method,
        parameters,
        row,
        portal: portal
            .map(|origin| clean(origin.trim_end_matches('/')))
            .unwrap_or_else(|| SOME_PORTAL.to_owned()),
        webhook: !matches!(row.auth.as_str(), "oauth" | "session"),
    };
    let own = row.sdk.as_deref().unwrap_or_default();
    let own = own.split(' ').next().unwrap_or_default();
    let snippet = |name, language, sdk: &str, code| Snippet {
        name,
        language,
        code,
        own: own == sdk,
    };
    let mut snippets = vec![
        snippet("curl", "sh", "curl", call.curl()),
        snippet("CRest", "php", "CRest", call.crest()),
        snippet("b24phpsdk", "php", "b24phpsdk", call.b24phpsdk()),
        snippet("BX24.js", "js", "browser", call.bx24js()),
        snippet("@bitrix24/b24jssdk", "js", "b24jssdk", call.b24jssdk()),
        snippet("b24pysdk", "python", "b24pysdk", call.b24pysdk()),
        snippet(
            "fast-bitrix24",
            "python",
            "fast_bitrix24",
            call.fast_bitrix24(),
        ),
    ];
    if row.batch > 0 {
        snippets.insert(0, snippet("In a batch", "text", "", call.command()));
    }
    snippets.sort_by_key(|snippet| !snippet.own);
    snippets
}

impl Call<'_> {
    fn user(&self) -> String {
        clean(self.row.user.as_deref().unwrap_or("USER"))
    }

    /// The portal's host, as b24pysdk wants it.
    fn host(&self) -> &str {
        let portal = self.portal.as_str();
        portal.split_once("://").map_or(portal, |(_, host)| host)
    }

    /// In the encoding that the caller uses.
    fn curl(&self) -> String {
        let pairs = self.parameters.flat();
        let each = |option: &str| {
            let pairs = pairs.iter();
            let words = pairs.map(|(name, value)| {
                format!(" \\\n  {option} {}", shell(&format!("{name}={value}")))
            });
            words.collect::<String>()
        };
        let parameters = match self.row.encoding.as_str() {
            "json" => format!(
                " \\\n  -H 'Content-Type: application/json' \\\n  -d {}",
                shell(&json(self.parameters).to_string())
            ),
            "multipart" => each("--form-string"),
            "query" => format!(" -G{}", each("--data-urlencode")),
            _ => each("--data-urlencode"),
        };
        let (setting, address, auth) = if self.webhook {
            let example = format!("{}/rest/{}/CODE/", self.portal, self.user());
            (
                format!(
                    "B24_WEBHOOK={}  # the webhook's own address",
                    shell(&example)
                ),
                format!("\"${{B24_WEBHOOK}}{}.json\"", self.method),
                "",
            )
        } else {
            (
                "B24_TOKEN='...'  # an access token of the application".to_owned(),
                shell(&format!("{}/rest/{}.json", self.portal, self.method)),
                " \\\n  -H \"Authorization: Bearer $B24_TOKEN\"",
            )
        };
        format!(
            "{setting}\ncurl {address}{auth}{parameters}\n# every other parameter stays as it is\n"
        )
    }

    fn crest(&self) -> String {
        format!(
            "require_once __DIR__ . '/crest.php';\n\n$answer = CRest::call({}, {});\n",
            (PHP.quote)(self.method),
            PHP.literal(self.parameters, 0)
        )
    }

    fn b24phpsdk(&self) -> String {
        let service = if self.webhook {
            "use Bitrix24\\SDK\\Services\\ServiceBuilderFactory;\n\n\
             $b24 = ServiceBuilderFactory::createServiceBuilderFromWebhook(getenv('B24_WEBHOOK'));\n"
        } else {
            "// $b24 is the ServiceBuilder that the application already has.\n"
        };
        format!(
            "{service}$result = $b24->core->call({}, {})->getResponseData()->getResult();\n",
            (PHP.quote)(self.method),
            PHP.literal(self.parameters, 0)
        )
    }

    fn bx24js(&self) -> String {
        format!(
            "BX24.callMethod({}, {}, (result) => {{\n  if (result.error()) console.error(result.error());\n  else \
             console.log(result.data());\n}});\n",
            (JAVASCRIPT.quote)(self.method),
            JAVASCRIPT.literal(self.parameters, 0)
        )
    }

    fn b24jssdk(&self) -> String {
        let client = if self.webhook {
            "import { B24Hook } from '@bitrix24/b24jssdk';\n\nconst b24 = B24Hook.fromWebhookUrl(process.env.B24_WEBHOOK);\n"
        } else {
            "import { initializeB24Frame } from '@bitrix24/b24jssdk';\n\nconst b24 = await initializeB24Frame();\n"
        };
        format!(
            "{client}const response = await b24.actions.v2.call.make({{\n  method: {},\n  params: {},\n}});\nif \
             (!response.isSuccess) throw new Error(response.getErrorMessages().join('; '));\nconst {{ result }} = \
             response.getData();\n",
            (JAVASCRIPT.quote)(self.method),
            JAVASCRIPT.literal(self.parameters, 1)
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
            "# token is the BitrixToken that the application already has.\n".to_owned()
        };
        format!(
            "{token}result = token.call_method({}, {})[\"result\"]\n",
            (PYTHON.quote)(self.method),
            PYTHON.literal(self.parameters, 0)
        )
    }

    /// `call` refuses an empty dict unless it is raw, and warns of lists, which `get_all` reads whole.
    fn fast_bitrix24(&self) -> String {
        let (function, raw) = match self.parameters.is_empty() {
            _ if self.method.ends_with(".list") => ("get_all", ""),
            true => ("call", ", raw=True"),
            false => ("call", ""),
        };
        format!(
            "import os\n\nfrom fast_bitrix24 import Bitrix\n\nbx = Bitrix(os.environ[\"B24_WEBHOOK\"])\nresult = \
             bx.{function}({}, {}{raw})\n",
            (PYTHON.quote)(self.method),
            PYTHON.literal(self.parameters, 0)
        )
    }

    /// The text of a batch's command, before whatever library encodes it.
    fn command(&self) -> String {
        let pairs = self.parameters.flat();
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let parameters = if pairs.is_empty() {
            String::new()
        } else {
            format!("?{}", pairs.join("&"))
        };
        format!(
            "{}{parameters}\n# every other parameter stays as it is\n",
            self.method
        )
    }
}
