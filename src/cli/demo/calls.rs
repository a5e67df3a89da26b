//! The calls of the demo: each as a client in the field sends it, to the byte, and what should become of it.

use crate::catalogue::Mode;

/// What should become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The portal gets the successor, and does what the legacy call meant.
    Translated,
    /// The portal gets the same bytes, and the use is logged.
    Watched,
    /// As watched; afterwards the portal is also asked for the successor, to compare the answers.
    Compared,
    /// The portal gets the same bytes, and nothing is logged.
    Untouched,
    /// The portal gets nothing; the client gets this status.
    Refused(u16),
    /// In a batch: the command is refused under its own key, all others run.
    RefusedCommand,
}

impl Fate {
    /// How many requests the portal receives because of the call.
    pub fn requests(self) -> usize {
        match self {
            Refused(_) => 0,
            Compared => 2,
            Translated | Watched | Untouched | RefusedCommand => 1,
        }
    }
}

/// One call of the demo.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How it travels and who sends it so.
    pub title: &'static str,
    pub verb: &'static str,
    pub target: &'static str,
    /// Header fields beside Host and Content-Length.
    pub fields: &'static [(&'static str, &'static str)],
    pub body: &'static str,
    pub fate: Fate,
    /// How many deprecated calls are in it.
    pub uses: usize,
}

use Fate::{Compared, Refused, RefusedCommand, Translated, Untouched, Watched};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A call of the burst.
pub const BURST: Sample = Sample {
    title: "burst",
    verb: "GET",
    target: "/rest/1/sandboxcode/crm.item.details.configuration.get?entityTypeId=1",
    fields: &[],
    body: "",
    fate: Untouched,
    uses: 0,
};

/// A dozen and more, by way of travel.
pub const SAMPLES: &[Sample] = &[
    Sample {
        title: "JSON (b24phpsdk)",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset",
        fields: &[
            JSON,
            ("User-Agent", "b24-php-sdk-vendor-v-1.9.0-php-8.2.29"),
        ],
        body: r#"{"scope":"C","extras":{"lead.customer.type":2}}"#,
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "JSON, no parameters",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset.json",
        fields: &[
            JSON,
            ("User-Agent", "b24-python-sdk-vendor-v-1.3.2-python-3.12.3"),
        ],
        body: "[]",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "JSON, stray entityTypeId",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset?entityTypeId=3",
        fields: &[JSON, ("User-Agent", "b24-js-sdk/2.2.0")],
        body: r#"{ "ENTITY_TYPE_ID": 2, "entityTypeId": "4", "userId": 1.0 }"#,
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "form (CRest)",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset.json",
        fields: &[FORM, ("User-Agent", "Bitrix24 CRest PHP 1.36")],
        body: "userId=1&scope=P&extras%5Blead.customer.type%5D=2",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "multipart (PHP array to cURL)",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset",
        fields: &[(
            "Content-Type",
            "multipart/form-data; boundary=------------------------9f2b6a",
        )],
        body: "--------------------------9f2b6a\r\nContent-Disposition: form-data; name=\"scope\"\r\n\r\nC\r\n\
               --------------------------9f2b6a\r\nContent-Disposition: form-data; name=\"extras[lead.customer.type]\"\r\n\r\n1\r\n\
               --------------------------9f2b6a--\r\n",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "body without a type",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset/",
        fields: &[],
        body: "scope=C&leadCustomerType=2",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "GET (browser, cURL)",
        verb: "GET",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset?scope=C&extras[lead.customer.type]=2",
        fields: &[("User-Agent", "curl/8.14.1")],
        body: "",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: ".xml",
        verb: "GET",
        target: "/rest/1/sandboxcode/CRM.Lead.Details.Configuration.Reset.xml?userId=1",
        fields: &[],
        body: "",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "raw < in the address (1C)",
        verb: "GET",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset?scope=C&note=<b>\"x\"",
        fields: &[("User-Agent", "1C+Enterprise/8.3")],
        body: "",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "OAuth, Authorization field",
        verb: "POST",
        target: "/rest/crm.lead.details.configuration.reset",
        fields: &[JSON, ("Authorization", "Bearer sandboxtoken")],
        body: r#"{"scope":"C"}"#,
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "OAuth, auth in a form",
        verb: "POST",
        target: "/rest/crm.lead.details.configuration.reset.json",
        fields: &[FORM],
        body: "auth=sandboxtoken&scope=C",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "batch in JSON (fast_bitrix24)",
        verb: "POST",
        target: "/rest/1/sandboxcode/batch",
        fields: &[JSON, ("User-Agent", "Python/3.12 aiohttp/3.11.18")],
        body: r#"{"halt":0,"cmd":{"who":"user.current","form":"crm.lead.details.configuration.reset?scope=P&userId=$result[who][ID]","deal":"crm.deal.details.configuration.reset?scope=C"}}"#,
        fate: Translated,
        uses: 2,
    },
    Sample {
        title: "batch in a form (CRest)",
        verb: "POST",
        target: "/rest/1/sandboxcode/batch.json",
        fields: &[FORM],
        body: "halt=0&cmd%5B0%5D=crm.lead.details.configuration.reset%3Fextras%255Blead.customer.type%255D%3D2%23top&cmd%5B1%5D=user.current",
        fate: Translated,
        uses: 1,
    },
    Sample {
        title: "broken JSON",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.details.configuration.reset",
        fields: &[JSON],
        body: r#"{"scope":"C","#,
        fate: Refused(400),
        uses: 1,
    },
    Sample {
        title: "deprecated, no equivalent",
        verb: "POST",
        target: "/rest/1/sandboxcode/crm.lead.list",
        fields: &[JSON],
        body: r#"{"filter":{">ID":5}}"#,
        fate: Watched,
        uses: 1,
    },
    Sample {
        title: "not deprecated",
        verb: "GET",
        target: "/rest/1/sandboxcode/user.get?filter[>ID]=5",
        fields: &[],
        body: "",
        fate: Untouched,
        uses: 0,
    },
];

/// The method that is led up the ladder. It only reads, so that its answers can be compared.
pub const CLIMBER: &str = "crm.lead.details.configuration.get";

/// One rung of the ladder: a mode, and the same call in it.
#[derive(Clone, Copy, Debug)]
pub struct Rung {
    pub mode: Mode,
    pub sample: Sample,
}

const fn rung(mode: Mode, title: &'static str, fate: Fate) -> Rung {
    Rung {
        mode,
        sample: Sample {
            title,
            verb: "POST",
            target: "/rest/1/sandboxcode/crm.lead.details.configuration.get",
            fields: &[JSON],
            body: r#"{"scope":"C"}"#,
            fate,
            uses: 1,
        },
    }
}

/// The ladder, from its lowest rung.
pub const LADDER: &[Rung] = &[
    rung(Mode::Observe, "observe: as it came, logged", Watched),
    rung(
        Mode::Compare,
        "compare: then also as its successor",
        Compared,
    ),
    rung(Mode::Rewrite, "rewrite: as its successor", Translated),
    rung(
        Mode::Brownout,
        "brownout: refused for a while",
        Refused(410),
    ),
    rung(Mode::Block, "block: refused", Refused(410)),
    Rung {
        mode: Mode::Block,
        sample: Sample {
            title: "block, in a batch",
            verb: "POST",
            target: "/rest/1/sandboxcode/batch",
            fields: &[JSON],
            body: r#"{"halt":0,"cmd":{"form":"crm.lead.details.configuration.get?scope=C","who":"user.current"}}"#,
            fate: RefusedCommand,
            uses: 1,
        },
    },
];
