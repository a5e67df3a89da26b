//! What the caller of a deprecated method has to change, as the documentation of both methods says it (pure).
//!
//! `successors.json` has an entry for each method, `fields.json` the maps from old field names to new ones. Both are read
//! once, when somebody first asks; a call never does. What the documentation does not tell is absent.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::step::form_text;

/// The folder of the documentation's pages.
pub(super) const DOCUMENTATION: &str = "https://apidocs.bitrix24.com/";

/// What changes for the callers of one method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Migration {
    /// The methods to call instead; empty where there are none.
    pub successor: Vec<String>,
    /// The family (`x.*`) that the documentation names, where it names no method: [`Migration::successor`] is then our
    /// choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documented: Option<String>,
    /// The successor's page: its path below the documentation's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The deprecated method's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_page: Option<String>,
    /// The parameters at the top that the documentation lists for both methods, in its order; `*` marks a required one.
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// The generation of REST that the successor belongs to, where it is not that of the old method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest_version: Option<u8>,
    /// The call does the same under the new name, once `set` and `rename` are done.
    #[serde(skip_serializing_if = "is_false")]
    pub equal: bool,
    /// The old method reads its parameters by position as well as by name.
    #[serde(skip_serializing_if = "is_false")]
    pub positional: bool,
    /// The scope that the credential needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Change>,
    /// Who may call the successor, and who might call the old method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    /// Parameters that the successor needs, with their values.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub set: Pairs<Value>,
    /// Parameters that have another name.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub rename: Pairs<String>,
    /// Parameters that the caller has to add, with values of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// The map of field names for the call and its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
    /// The map of field names for the answer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_fields: Option<String>,
    /// Field names that differ from the map's; `null` has no successor.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub field_names: Pairs<Option<String>>,
    /// Where the answer has its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Change>,
    /// Whether lists come in pages the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paging: Option<Paging>,
    /// What else differs, each a sentence without its full stop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Parameters and fields that have no successor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// The parameters of both methods; none where the documentation lists none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Of the deprecated method.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub legacy: Vec<String>,
    /// Of its successor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub successor: Vec<String>,
}

impl Parameters {
    fn is_empty(&self) -> bool {
        self.legacy.is_empty() && self.successor.is_empty()
    }
}

/// Something before and after.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// For the deprecated method.
    pub legacy: String,
    /// For its successor.
    pub successor: String,
}

/// How a list's pages compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// The same parameters and keys.
    Same,
    /// Others.
    Differs,
}

/// An object whose members keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs<T>(pub Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pairs<T> {
    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Pairs<T>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<T>, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Members(std::marker::PhantomData))
    }
}

impl<T: Serialize> Serialize for Pairs<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

/// A map from old field names to new ones; a name of `null` has no successor, `NAME_*` is every name that begins so.
pub type FieldMap = Pairs<Option<String>>;

/// What becomes of a field's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// The successor's name for it.
    Name(String),
    /// There is no such field.
    Nothing,
    /// The documentation does not tell.
    Unknown,
}

impl Migration {
    /// The entry that ships for a method, in whatever case it is given.
    pub fn shipped(method: &str) -> Option<&'static Self> {
        DATA.methods.get(&method.to_ascii_lowercase())
    }

    /// The successors as a rule and an event name them; nothing where there is none.
    pub fn replacement(&self) -> Option<String> {
        Some(self.successor.join(" ")).filter(|names| !names.is_empty())
    }

    /// Whether the documentation names only a family, so that the successor is our choice.
    pub fn is_chosen(&self) -> bool {
        self.documented.is_some() && !self.successor.is_empty()
    }

    /// Whether the successor keeps the names of custom fields when it is asked to (`useOriginalUfNames`).
    pub fn keeps_custom_names(&self) -> bool {
        let names = self.parameters.successor.iter();
        names.into_iter().any(|name| name == "useOriginalUfNames")
    }

    /// The address of the successor's page.
    pub fn page_url(&self) -> Option<String> {
        self.page.as_deref().map(url)
    }

    /// The address of the deprecated method's page.
    pub fn legacy_page_url(&self) -> Option<String> {
        self.legacy_page.as_deref().map(url)
    }

    /// What the successor needs beside its name, and whether more differs, as the end of a sentence: ` with entityTypeId=2;
    /// other parameters and the answer differ`.
    pub fn in_short(&self) -> String {
        let set = self.set.iter();
        let set: Vec<String> = set
            .map(|(name, value)| format!("{name}={}", form_text(value)))
            .collect();
        let mut said = match set.is_empty() {
            true => String::new(),
            false => format!(" with {}", set.join(" and ")),
        };
        if let Some(scope) = &self.scope
            && scope.legacy != scope.successor
        {
            said.push_str(&format!("; it needs the scope {}", scope.successor));
        }
        if !self.equal && !self.successor.is_empty() {
            said.push_str("; other parameters and the answer differ");
        }
        said
    }

    /// The map of names for fields of the call.
    pub fn call_fields(&self) -> Option<&'static FieldMap> {
        field_map(self.fields.as_deref()?)
    }

    /// What becomes of a field of the call.
    pub fn field(&self, name: &str) -> Becomes {
        let own = find(&self.field_names, name);
        let found = own.or_else(|| find(self.call_fields()?, name));
        match found {
            Some(Some(new)) => Becomes::Name(new),
            Some(None) => Becomes::Nothing,
            None if self.lost.iter().any(|lost| lost == name) => Becomes::Nothing,
            None => Becomes::Unknown,
        }
    }

    /// This entry with members of another in place of its own; a member that is `null` is taken away.
    ///
    /// # Errors
    /// Where the outcome is no entry: what is wrong.
    pub fn corrected(&self, members: &serde_json::Map<String, Value>) -> Result<Self, String> {
        let mut whole = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in members {
            match value {
                Value::Null => whole.as_object_mut().and_then(|all| all.remove(name)),
                value => whole
                    .as_object_mut()
                    .and_then(|all| all.insert(name.clone(), value.clone())),
            };
        }
        Self::deserialize(&whole).map_err(|error| error.to_string())
    }
}

/// A map of field names, by its name.
pub fn field_map(name: &str) -> Option<&'static FieldMap> {
    DATA.fields.get(name)
}

/// All maps of field names, in the order of the file.
pub fn field_maps() -> &'static Pairs<FieldMap> {
    &DATA.fields
}

/// Where the data come from.
pub fn source() -> &'static Source {
    &DATA.source
}

/// The repository of the documentation that the data were read from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The repository's address.
    pub source: String,
    /// Its licence.
    pub license: String,
    /// The commit.
    pub commit: String,
    /// The commit's date, `YYYY-MM-DD`.
    pub date: String,
}

struct Data {
    source: Source,
    /// By the lower-cased method.
    methods: HashMap<String, Migration>,
    fields: Pairs<FieldMap>,
}

static DATA: LazyLock<Data> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Methods {
        about: Source,
        methods: Pairs<Migration>,
    }
    #[derive(Deserialize)]
    struct Fields {
        maps: Pairs<FieldMap>,
    }
    let methods: Methods = serde_json::from_str(include_str!("successors.json"))
        .expect("successors.json is read by a test");
    let fields: Fields =
        serde_json::from_str(include_str!("fields.json")).expect("fields.json is read by a test");
    let by_method = methods.methods.0.into_iter();
    Data {
        source: methods.about,
        methods: by_method
            .map(|(method, entry)| (method.to_ascii_lowercase(), entry))
            .collect(),
        fields: fields.maps,
    }
});

/// The new name of a field, where the map has it: by itself, or by `NAME_*`.
fn find(map: &FieldMap, name: &str) -> Option<Option<String>> {
    if let Some(new) = map.get(name) {
        return Some(new.clone());
    }
    let (new, rest) = map.iter().find_map(|(known, new)| {
        let rest = name.strip_prefix(known.strip_suffix('*')?)?;
        Some((new, rest))
    })?;
    Some(new.as_ref().map(|new| new.replace('*', rest)))
}

fn url(page: &str) -> String {
    format!("{DOCUMENTATION}{page}.html")
}

fn is_false(is: &bool) -> bool {
    !is
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Rule, RuleKind};

    fn of(method: &str) -> &'static Migration {
        Migration::shipped(method).expect(method)
    }

    #[test]
    fn every_rule_that_ships_has_an_entry_about_its_successor() {
        let catalogue = Catalogue::builtin();
        for rule in catalogue.rules() {
            let entry = rule.migration().expect(&rule.method);
            assert_eq!(entry.replacement(), rule.replacement, "{}", rule.method);
            assert_eq!(entry.legacy_page, rule.documentation, "{}", rule.method);
        }
        assert_eq!(DATA.methods.len(), catalogue.rules().len());
    }

    #[test]
    fn what_is_translated_is_equal_and_sets_and_renames_what_the_entry_says() {
        for rule in Catalogue::builtin().rules() {
            let entry = rule.migration().unwrap();
            if rule.kind != RuleKind::Exact {
                continue;
            }
            assert!(entry.equal, "{}", rule.method);
            let set: Vec<_> = rule
                .set
                .iter()
                .map(|set| (set.name.as_str(), &set.to))
                .collect();
            assert_eq!(set, entry.set.iter().collect::<Vec<_>>(), "{}", rule.method);
            let renamed: Vec<_> = rule
                .rename
                .iter()
                .map(|rename| {
                    let inside = &rename.inside[0][0];
                    (
                        format!("{inside}[{}]", rename.from),
                        format!("{inside}[{}]", rename.to),
                    )
                })
                .collect();
            assert_eq!(renamed, entry.rename.0, "{}", rule.method);
        }
    }

    #[test]
    fn every_field_map_that_is_named_exists_and_each_is_named() {
        let mut named: Vec<&str> = Vec::new();
        for entry in DATA.methods.values() {
            named.extend(entry.fields.as_deref());
            named.extend(entry.result_fields.as_deref());
        }
        named.sort_unstable();
        named.dedup();
        let mut maps: Vec<&str> = field_maps().iter().map(|(name, _)| name).collect();
        maps.sort_unstable();
        let unused: Vec<_> = maps.iter().filter(|map| !named.contains(map)).collect();
        let missing: Vec<_> = named.iter().filter(|name| !maps.contains(name)).collect();
        assert_eq!(missing, Vec::<&&str>::new());
        // These two describe objects of which every documented method renames parameters, not fields.
        assert_eq!(unused, [&"activity"]);
    }

    #[test]
    fn a_field_has_a_new_name_or_none_or_is_not_known() {
        let add = of("crm.lead.add");
        let name = |name: &str| Becomes::Name(name.to_owned());
        assert_eq!(add.field("STATUS_ID"), name("stageId"));
        assert_eq!(add.field("PARENT_ID_128"), name("parentId128"));
        assert_eq!(add.field("ADDRESS"), Becomes::Nothing);
        assert_eq!(add.field("NO_SUCH"), Becomes::Unknown);
    }

    #[test]
    fn no_successor_and_a_chosen_one_are_told_apart() {
        assert_eq!(of("crm.invoice.recurring.add").replacement(), None);
        assert!(!of("crm.invoice.recurring.add").is_chosen());
        assert!(of("crm.deal.productrows.get").is_chosen());
        assert!(!of("CRM.deal.LIST").is_chosen());
    }

    #[test]
    fn a_correction_replaces_members_and_null_takes_one_away() {
        let members = serde_json::json!({
            "rights": "anybody", "scope": null, "field_names": { "STATUS_ID": "state", "X": null }
        });
        let corrected = of("crm.lead.add").corrected(members.as_object().unwrap());
        let corrected = corrected.unwrap();
        assert_eq!(corrected.rights.as_deref(), Some("anybody"));
        assert_eq!(corrected.scope, None);
        assert_eq!(
            corrected.field("STATUS_ID"),
            Becomes::Name("state".to_owned())
        );
        assert_eq!(corrected.field("X"), Becomes::Nothing);
        assert_eq!(corrected.field("TITLE"), Becomes::Name("title".to_owned()));
        let wrong = serde_json::json!({ "right": "x" });
        let error = of("crm.lead.add").corrected(wrong.as_object().unwrap());
        assert!(error.unwrap_err().contains("right"));
    }

    #[test]
    fn an_entry_of_another_successor_says_nothing_about_a_rule_of_ones_own() {
        let rule = |replacement: Option<&str>| Rule {
            method: "crm.deal.list".into(),
            replacement: replacement.map(str::to_owned),
            ..Rule::default()
        };
        assert!(rule(Some("crm.item.list")).migration().is_some());
        assert!(rule(None).migration().is_some());
        assert!(rule(Some("my.method")).migration().is_none());
    }
}
