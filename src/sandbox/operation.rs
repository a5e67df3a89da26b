//! What a portal does for one call: the deprecated family and its successors from the portal's side (PROTOCOL §4).

use super::php::{Array, Key, Value, lower_cased};

/// What a method of the family does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Answer the stored sections, or `null`.
    Get,
    /// Store sections.
    Set,
    /// Drop the stored sections.
    Reset,
    /// Drop every user's own view, so that all see the common one.
    ForceCommonScopeForAll,
}

/// Whose view an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum User {
    /// The one who calls: no `userId`, or one that is not positive.
    Caller,
    /// A user by id.
    Id(i64),
}

/// The kind of lead whose form is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeadType {
    /// 0 and 1, and when none is given.
    Simple,
    /// 2.
    Repeat,
    /// Any other number has a view of its own.
    Other(i64),
}

impl LeadType {
    fn of(number: i64) -> Self {
        match number {
            0 | 1 => LeadType::Simple,
            2 => LeadType::Repeat,
            other => LeadType::Other(other),
        }
    }
}

/// The family's work, as the portal resolved it.
#[derive(Debug, Clone, PartialEq)]
pub struct Details {
    /// What is done.
    pub action: Action,
    /// 1 lead, 2 deal, 3 contact, 4 company, …; 0 when the call named none.
    pub entity_type: i64,
    /// Whether the view that all share is meant. `true` also for `forceCommonScopeForAll`.
    pub common: bool,
    /// Whose view; the caller for `forceCommonScopeForAll`, which ignores it.
    pub user: User,
    /// Leads only: the type as the portal's code honours it.
    pub lead_type: Option<LeadType>,
    /// Lead methods whose documentation names `lead.customer.type`: the type that it promises. The portal's code reads
    /// another spelling; a proxy that makes the documentation true reaches this one.
    pub documented_lead_type: Option<LeadType>,
    /// Deals only: `dealCategoryId`, in the spellings that are honoured.
    pub deal_category: Option<i64>,
    /// `CATEGORY_ID`, else `DEAL_CATEGORY_ID`: read for every type.
    pub category: Option<i64>,
    /// `set` only: the sections, as sent.
    pub data: Option<Value>,
}

/// What comes of one call or batch command.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// A method of the family, legacy or successor.
    Details(Box<Details>),
    /// Any other method, with the parameters that it would get.
    Other {
        /// All parameters, query and body merged.
        parameters: Array,
    },
    /// A category that is no number: PHP ends the whole request with a 500, a batch too.
    Fatal,
}

/// One call or batch command, as a portal understood it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The keys of the batch commands that lead here, outermost first; empty outside a batch.
    pub batch_keys: Vec<Key>,
    /// The method that was executed, lower-cased, without a suffix.
    pub method: Vec<u8>,
    /// What it does.
    pub work: Work,
}

/// What is *done* by an operation, whatever it is called: equal for a legacy call and its faithful translation.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The family's work, with the documented lead type made to work.
    Details {
        /// As [`Operation::batch_keys`].
        batch_keys: Vec<Key>,
        /// The work; `documented_lead_type` is `None` here, since `lead_type` says what counts.
        details: Box<Details>,
    },
    /// Nothing, and the request ends with a 500.
    Fatal,
    /// Another method: nothing about it may differ.
    Other(Operation),
}

impl Operation {
    /// Understand the call of `method` (any case) with `parameters`.
    pub fn resolve(method: &[u8], parameters: &Array, batch_keys: Vec<Key>) -> Operation {
        let method = lower_cased(method);
        let work = match Family::find(&method) {
            Some(family) => family.resolve(parameters),
            None => Work::Other {
                parameters: parameters.clone(),
            },
        };
        Operation {
            batch_keys,
            method,
            work,
        }
    }

    /// The batch keys as `outer/inner`, or `None` outside a batch.
    pub fn batch_key(&self) -> Option<String> {
        let names: Vec<String> = self
            .batch_keys
            .iter()
            .map(|key| String::from_utf8_lossy(&key.to_bytes()).into_owned())
            .collect();
        (!names.is_empty()).then(|| names.join("/"))
    }

    /// The family's work, if the operation is of the family.
    pub fn details(&self) -> Option<&Details> {
        match &self.work {
            Work::Details(details) => Some(details),
            _ => None,
        }
    }

    /// What is done, independent of the names by which it was asked for.
    ///
    /// Where the documentation of a legacy lead method names `lead.customer.type`, the portal's code ignores it; the
    /// effect is the one that the documentation promises, unless the call has a spelling that is honoured.
    pub fn effect(&self) -> Effect {
        match &self.work {
            Work::Details(details) => {
                let mut details = details.clone();
                if let Some(promised) = details.documented_lead_type.take() {
                    details.lead_type = Some(promised);
                }
                Effect::Details {
                    batch_keys: self.batch_keys.clone(),
                    details,
                }
            }
            Work::Fatal => Effect::Fatal,
            Work::Other { .. } => Effect::Other(self.clone()),
        }
    }
}

/// One of the sixteen legacy methods, or of the four successors.
struct Family {
    /// `None`: the call itself names it.
    entity_type: Option<i64>,
    action: Action,
}

const ENTITIES: [(&str, Option<i64>); 5] = [
    ("lead", Some(1)),
    ("deal", Some(2)),
    ("contact", Some(3)),
    ("company", Some(4)),
    ("item", None),
];

const ACTIONS: [(&str, Action); 4] = [
    ("get", Action::Get),
    ("set", Action::Set),
    ("reset", Action::Reset),
    ("forcecommonscopeforall", Action::ForceCommonScopeForAll),
];

impl Family {
    fn find(lower_case_method: &[u8]) -> Option<Family> {
        let method = std::str::from_utf8(lower_case_method).ok()?;
        let (entity, action) = method
            .strip_prefix("crm.")?
            .split_once(".details.configuration.")?;
        let (_, entity_type) = ENTITIES.into_iter().find(|(name, _)| *name == entity)?;
        let (_, action) = ACTIONS.into_iter().find(|(name, _)| *name == action)?;
        Some(Family {
            entity_type,
            action,
        })
    }

    fn resolve(&self, parameters: &Array) -> Work {
        let entity_type = self.entity_type.unwrap_or_else(|| {
            let named = parameters.first_set(&["entityTypeId", "ENTITY_TYPE_ID"]);
            named.map_or(0, Value::to_int)
        });
        let none = Array::default();
        let extras = parameters.first_set(&["extras", "EXTRAS", "Extras", "arExtras"]);
        let extras = extras.and_then(Value::as_array).unwrap_or(&none);

        let for_all = self.action == Action::ForceCommonScopeForAll;
        let scope = parameters.first_set(&["scope", "SCOPE", "Scope"]);
        let user = parameters.first_set(&["userid", "USERID", "userId", "UserId"]);
        let user = match user.map_or(0, Value::to_int) {
            id if id > 0 && !for_all => User::Id(id),
            _ => User::Caller,
        };
        let (Ok(category), Ok(deal_category)) =
            (category(extras), deal_category(entity_type, extras))
        else {
            return Work::Fatal;
        };
        let lead = entity_type == 1;
        let honoured = extras
            .first_set(&[
                "leadcustomertype",
                "LEADCUSTOMERTYPE",
                "leadCustomerType",
                "LeadCustomerType",
            ])
            .or_else(|| extras.isset("LEAD_CUSTOMER_TYPE"));
        let documented = extras.isset("lead.customer.type").filter(|_| {
            let named = matches!(self.action, Action::Get | Action::Reset);
            self.entity_type == Some(1) && named && honoured.is_none()
        });
        let lead_type = |value: &Value| LeadType::of(value.to_int());
        Work::Details(Box::new(Details {
            action: self.action,
            entity_type,
            common: for_all || scope.and_then(Value::as_text) == Some(b"C"),
            user,
            lead_type: lead.then(|| honoured.map_or(LeadType::Simple, lead_type)),
            documented_lead_type: documented.map(lead_type),
            deal_category,
            category,
            data: parameters
                .first_set(&["data", "DATA", "Data", "arData"])
                .filter(|_| self.action == Action::Set)
                .cloned(),
        }))
    }
}

/// A number, none, or what PHP throws at.
type Category = Result<Option<i64>, ()>;

fn number(value: Option<&Value>) -> Category {
    value
        .map(|value| value.as_int_parameter().ok_or(()))
        .transpose()
}

fn category(extras: &Array) -> Category {
    number(
        extras
            .isset("CATEGORY_ID")
            .or_else(|| extras.isset("DEAL_CATEGORY_ID")),
    )
}

fn deal_category(entity_type: i64, extras: &Array) -> Category {
    if entity_type != 2 {
        return Ok(None);
    }
    let spellings = [
        "dealcategoryid",
        "DEALCATEGORYID",
        "dealCategoryId",
        "DealCategoryId",
    ];
    number(
        extras
            .first_set(&spellings)
            .or_else(|| extras.isset("DEAL_CATEGORY_ID")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::form::parse_str;
    use super::*;

    fn details(method: &str, form: &str) -> Details {
        let operation = Operation::resolve(method.as_bytes(), &parse_str(form.as_bytes()), vec![]);
        operation
            .details()
            .cloned()
            .expect("a method of the family")
    }

    fn effect(method: &str, form: &str) -> Effect {
        Operation::resolve(method.as_bytes(), &parse_str(form.as_bytes()), vec![]).effect()
    }

    const LEGACY: &str = "CRM.Lead.Details.Configuration.Reset";
    const MODERN: &str = "crm.item.details.configuration.reset";

    #[test]
    fn a_legacy_call_and_its_successor_have_the_same_effect() {
        for (legacy, modern) in [
            ("", "entityTypeId=1"),
            (
                "entityTypeId=2&ENTITY_TYPE_ID=3",
                "entityTypeId=1&ENTITY_TYPE_ID=3",
            ),
            (
                "extras[lead.customer.type]=2",
                "extras[leadCustomerType]=2&ENTITY_TYPE_ID=1",
            ),
            (
                "extras[LEAD_CUSTOMER_TYPE]=2&extras[lead.customer.type]=7",
                "extras[LEAD_CUSTOMER_TYPE]=2&entityTypeId=1",
            ),
            ("scope=C&userId=-4", "SCOPE=C&entityTypeId=1"),
        ] {
            assert_eq!(effect(LEGACY, legacy), effect(MODERN, modern), "{legacy}");
        }
    }

    #[test]
    fn the_documented_lead_type_is_promised_only_where_the_documentation_names_it() {
        let form = "extras[lead.customer.type]=2";
        let reset = details(LEGACY, form);
        assert_eq!(
            reset.lead_type,
            Some(LeadType::Simple),
            "the portal's code does not read it"
        );
        assert_eq!(reset.documented_lead_type, Some(LeadType::Repeat));
        assert_eq!(
            details("crm.lead.details.configuration.set", form).documented_lead_type,
            None
        );
        assert_eq!(
            details(MODERN, &format!("{form}&entityTypeId=1")).documented_lead_type,
            None
        );
    }

    #[test]
    fn the_first_set_spelling_wins_and_the_underscored_one_comes_last() {
        let form = "extras[LEAD_CUSTOMER_TYPE]=5&extras[LeadCustomerType]=2";
        assert_eq!(details(LEGACY, form).lead_type, Some(LeadType::Repeat));
        assert_eq!(
            details(LEGACY, "UserId=5&USERID=4&userId=3").user,
            User::Id(4)
        );
        assert!(!details(LEGACY, "scope=c&SCOPE=C").common);
    }

    #[test]
    fn a_scalar_extras_counts_as_empty_and_still_wins() {
        let form = "extras=7&EXTRAS[leadCustomerType]=2";
        assert_eq!(details(LEGACY, form).lead_type, Some(LeadType::Simple));
    }

    #[test]
    fn a_category_that_is_no_number_is_fatal_under_both_names() {
        assert_eq!(effect(LEGACY, "extras[CATEGORY_ID]=x"), Effect::Fatal);
        assert_eq!(
            effect(MODERN, "entityTypeId=1&extras[DEAL_CATEGORY_ID][]=1"),
            Effect::Fatal
        );
        let deal = details(
            "crm.deal.details.configuration.get",
            "extras[dealCategoryId]=5&extras[CATEGORY_ID]=6",
        );
        assert_eq!((deal.deal_category, deal.category), (Some(5), Some(6)));
    }

    #[test]
    fn force_common_scope_ignores_user_and_scope() {
        let method = "crm.contact.details.configuration.forceCommonScopeForAll";
        assert_eq!(effect(method, "userId=5&scope=P"), effect(method, ""));
    }
}
