use super::*;

fn finder() -> (Vec<Known>, Finder) {
    let known: Vec<Known> = [
        "crm.lead.get",
        "crm.lead.list",
        "crm.lead.details.configuration.reset",
        "task.commentitem.get",
        "task.commentitem.getlist",
        "task.item.add",
        "imbot.register",
        "methods",
    ]
    .iter()
    .map(|method| Known {
        method: (*method).to_owned(),
        successor: None,
        needs: String::new(),
        successor_documentation: None,
        advice: String::new(),
        translated: false,
        documentation: None,
    })
    .collect();
    let finder = Finder::new(&known);
    (known, finder)
}

/// What is found, as words: a method, `+` before a joined one, `?` before what is unsure.
fn said_in(text: &str, language: Language) -> Vec<String> {
    let (known, finder) = finder();
    finder
        .find(text.as_bytes(), language)
        .into_iter()
        .map(|hit| match hit.what {
            What::Method {
                known: index,
                joined,
            } => format!("{}{}", if joined { "+" } else { "" }, known[index].method),
            What::Unsure(Why::Dynamic { begins }) => format!("?{begins}"),
            What::Unsure(why) => format!("?{}", why.word()),
        })
        .collect()
}

fn said(text: &str) -> Vec<String> {
    said_in(text, Language::Other)
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_name_is_found_where_it_stands_by_itself() {
    for text in [
        "crm.lead.get",
        "CRest::call('crm.lead.get', [])",
        "BX24.callMethod(\"crm.lead.get\", {})",
        "CRM.Lead.GET",
        "https://x.bitrix24.com/rest/1/code/crm.lead.get.json?id=1",
        "https://x.bitrix24.com/rest/1/code/crm.lead.get/",
        "'cmd' => ['a' => 'crm.lead.get?id=1']",
        "It calls crm.lead.get. Then it ends.",
        "rest%2F1%2Fcode%2Fcrm.lead.get%3Fid=1",
        r#""jsCode": "\ncrm.lead.get""#,
        r#"{"html":"\u0022crm.lead.get\u0022"}"#,
        "- crm.lead.get",
        "«crm.lead.get»",
        "`crm.lead.get`",
        "crm.lead.get#top",
        "\"/rest/crm.lead.get$params\"",
    ] {
        assert_eq!(said(text), ["crm.lead.get"], "{text}");
    }
}

#[test]
fn a_name_inside_another_is_not_found() {
    for text in [
        "crm.lead.getlist",
        "xcrm.lead.get",
        "my_crm.lead.get",
        "crm.lead.get.more",
        "crm.lead.get-all",
        "crm.lead.get_all",
        "crm-crm.lead.get",
        "$crm.lead.get",
        "x.crm.lead.get",
        "crm.leadxget",
        "crm.item.get",
        "the task. Then",
        "crm.",
    ] {
        assert_eq!(said(text), NOTHING, "{text}");
    }
}

#[test]
fn of_two_names_that_begin_alike_the_one_that_stands_there_is_found() {
    assert_eq!(said("'task.commentitem.get'"), ["task.commentitem.get"]);
    assert_eq!(
        said("'task.commentitem.getlist'"),
        ["task.commentitem.getlist"]
    );
    assert_eq!(said("'task.commentitem.getl'"), NOTHING);
}

#[test]
fn literals_put_together_are_read_as_one() {
    for text in [
        "'crm.lead' . '.get'",
        "'crm.lead.' . \"get\"",
        "\"crm\" + \".lead\" + \".get\"",
        "'crm.'\n    . 'lead.'\n    . 'get'",
        "`crm.lead` + `.get`",
        "\"crm.lead\" .. \".get\"",
        "\"crm.lead\" & \".get\"",
        r#"{"code": "call(\"crm.lead\" + \".get\")"}"#,
        "['crm', 'lead', 'get'].join('.')",
        "[\n'crm',\n'lead.get',\n].join(\".\")",
        "implode('.', ['crm', 'lead', 'get'])",
        "'.'.join(('crm', 'lead', 'get'))",
    ] {
        assert_eq!(said(text), ["+crm.lead.get"], "{text}");
    }
    assert_eq!(said("'crm.lead.get' . '.json'"), ["+crm.lead.get"]);
    assert_eq!(said("'crm.lead.get' . $query"), ["crm.lead.get"]);
    assert_eq!(said("'crm.lead.get' . '?id=1'"), ["crm.lead.get"]);
    assert_eq!(
        said_in("('crm.lead'\n   '.get')", Language::Python),
        ["+crm.lead.get"]
    );
    assert_eq!(
        said_in("curl $B/'crm.lead'\".get\"", Language::Shell),
        ["+crm.lead.get"]
    );
}

#[test]
fn literals_that_only_stand_side_by_side_are_not() {
    for text in [
        "f('crm.lead', '.get')",
        "['crm.lead' '.get']",
        "['crm', 'lead', 'get']",
        "['crm', 'lead', 'get'].join('/')",
        "'crm.lead.get' + 'list'",
        "'crm.lead' . '.item.get'",
        "'crm.lead'.replace('.get')",
        "'crm.lead' && '.get'",
    ] {
        assert_eq!(said(text), NOTHING, "{text}");
    }
}

#[test]
fn a_constant_declared_once_is_read_as_its_value() {
    for text in [
        "const LEAD = 'crm.lead';\ncall(LEAD + '.get');",
        "const LEAD = 'crm.lead';\ncall(`${LEAD}.get`);",
        "private const LEAD: string = 'crm.lead';\ncall(self::LEAD . '.get');",
        "define('LEAD', 'crm.lead');\ncall(LEAD . '.get');",
        "LEAD = 'crm.lead'\ncall(f\"{LEAD}.get\")",
        "static final String LEAD = \"crm.lead\";\ncall(LEAD + \".get\");",
        "const ENTITY = 'lead';\ncall('crm.' + ENTITY + '.get');",
        "const ENTITY = 'lead';\ncall(`crm.${ENTITY}.get`);",
        "const LEAD = 'crm.lead', GET = '.get';\ncall(LEAD + GET);",
        "const L = 'crm.lead.';\ncall(L + 'get');",
    ] {
        assert_eq!(said(text), ["+crm.lead.get"], "{text}");
    }
}

#[test]
fn a_name_that_ends_in_a_variable_is_said_to_be_unseen() {
    for text in [
        "'crm.lead.' . $x",
        "'crm.lead.' . strtolower($x)",
        "\"crm.lead.\" + action",
        "`crm.lead.${action}`",
        "\"crm.lead.{$action}\"",
        "f'crm.lead.{action}'",
        "sprintf('crm.lead.%s', $x)",
        "let LEAD_ACTION = 'get';\n'crm.lead.' + LEAD_ACTION",
        "const ACTION = 'get';\nACTION = 'list';\n'crm.lead.' + ACTION",
        "const ACTION = pick();\n'crm.lead.' + ACTION",
        "'crm.lead.' + Other.ACTION",
        "const LEAD = 'crm.lead.';\ncall(Api::LEAD . 'get');",
        "static LEAD = 'crm.lead.';\ncall(this.LEAD + 'get');",
    ] {
        assert_eq!(said(text), ["?crm.lead."], "{text}");
    }
    assert_eq!(said("\"crm.{$entity}.get\""), ["?crm."]);
    assert_eq!(
        said("const LEAD = 'crm.lead.';\nf(Api::LEAD, Api::LEAD->x);"),
        NOTHING
    );
}

#[test]
fn a_list_in_braces_is_no_interpolation() {
    assert_eq!(said("crm.{lead,deal}.get"), NOTHING);
}

#[test]
fn a_call_by_a_variable_is_said_to_be_unseen_and_its_declaration_is_not() {
    assert_eq!(said("BX24.callMethod(method, params)"), ["?variable"]);
    assert_eq!(said("CRest::call($method, [])"), ["?variable"]);
    assert_eq!(said("CRest::call('crm.item.get', [])"), NOTHING);
    assert_eq!(said("function callMethod(method, params) {"), NOTHING);
    assert_eq!(said("  callMethod(method, params) {"), NOTHING);
    assert_eq!(
        said("$b->getCRMScope()->lead()->get(1)->lead()"),
        ["?accessor"]
    );
}

#[test]
fn code_that_goes_through_attributes_may_be_a_call() {
    assert_eq!(said("client.crm.lead.get(bitrix_id=1)"), ["?attribute"]);
    assert_eq!(said("task.item.add(element)"), ["?attribute"]);
    assert_eq!(said("'crm.lead.get'(x)"), ["crm.lead.get"]);
}

#[test]
fn a_name_that_is_a_common_word_is_found_only_where_it_is_called() {
    assert_eq!(said("the methods of a class"), NOTHING);
    assert_eq!(said("'methods'"), NOTHING);
    assert_eq!(said("docs/methods"), NOTHING);
    assert_eq!(said("CRest::call('methods')"), ["methods"]);
    assert_eq!(said("BX24.callMethod(\"methods\", {})"), ["methods"]);
    assert_eq!(
        said("curl https://x.bitrix24.com/rest/1/code/methods.json"),
        ["methods"]
    );
    assert_eq!(
        said("curl https://x.bitrix24.com/rest/1/code/methods.html"),
        NOTHING
    );
}

#[test]
fn places_count_lines_and_characters_from_one() {
    let text = "é crm.lead.get\nб\n\"crm.lead\n";
    let mut places = Places::new(text.as_bytes());
    let at = text.find("crm").unwrap();
    let place = places.of(&(at..at + 12));
    assert_eq!((place.line, place.column, place.end_column), (1, 3, 15));
    let at = text.rfind("crm").unwrap();
    let place = places.of(&(at..at + 9));
    assert_eq!((place.line, place.column, place.end_column), (3, 2, 10));
}

#[test]
fn many_finds_in_one_line_cost_one_reading_of_it() {
    let (_, finder) = finder();
    let text = "x('crm.lead.get'); ".repeat(5_000);
    let hits = finder.find(text.as_bytes(), Language::Other);
    assert_eq!(hits.len(), 5_000);
    let mut places = Places::new(text.as_bytes());
    crate::places::counted::bytes();
    let last = hits.iter().map(|hit| places.of(&hit.span)).last();
    assert_eq!(last.map(|place| place.column), Some(19 * 4_999 + 4));
    assert!(crate::places::counted::bytes() <= text.len());
}

#[test]
fn many_constants_cost_as_much_as_they_stand_there() {
    let (_, finder) = finder();
    for end in ["\n", " "] {
        let one = |n| format!("const C{n} = 'crm.lead';{end}call(C{n} + '.get');{end}");
        let text: String = (0..2_000).map(one).collect();
        crate::scan::pieces::counted::LOOKED_AT.set(0);
        let hits = finder.find(text.as_bytes(), Language::Other);
        // In one line a declaration may be taken for that of the constant before it.
        assert!(hits.len() > 1_990, "{}", hits.len());
        // Each of 4,000 words: once for its value, once for uses, once for uses of another's.
        assert!(crate::scan::pieces::counted::LOOKED_AT.get() <= 3 * 4_000);
    }
}

#[test]
fn lists_joined_by_dots_are_read_as_one() {
    for text in [
        "join('.', ['crm','lead','get'])",
        "join('.', array('crm', 'lead', 'get'))",
        "join('.', 'crm', 'lead', 'get')",
        "string.Join(\".\", new[] { \"crm\", \"lead\", \"get\" })",
        "const E = 'crm.lead';\n[E,'get'].join('.')",
        "const E = 'crm.lead';\nimplode('.', [self::E, 'get'])",
        "const E = 'lead';\n['crm', E, 'get'].join('.')",
        "const entity = 'lead';\n['crm', entity, 'get',].join('.')",
        "const PARTS = ['crm','lead','get'];\ncall(PARTS.join('.'));",
        "const parts: string[] = ['crm', 'lead', 'get'];\ncall(parts.join('.'));",
        "const PARTS = ['crm','lead','get'];\ncall(implode('.', self::PARTS));",
        "PARTS = ('crm', 'lead', 'get')\ncall('.'.join(PARTS))",
        "static final String[] P = {\"crm.lead\", \"get\"};\ncall(String.join(\".\", P));",
    ] {
        assert_eq!(said(text), ["+crm.lead.get"], "{text}");
    }
    for (text, begins) in [
        ("['crm', 'lead', action].join('.')", "?crm.lead."),
        (
            "implode('.', ['crm', 'lead', strtolower($x)])",
            "?crm.lead.",
        ),
        (
            "let p = ['crm','lead','get'];\ncall(p.join('.'));",
            "?crm.lead.get",
        ),
        (
            "$p = ['crm','lead','get'];\ncall(implode('.', $p));",
            "?crm.lead.get",
        ),
        ("let e = 'crm.lead';\n[e,'get'].join('.')", "?crm.lead"),
    ] {
        assert_eq!(said(text), [begins], "{text}");
    }
    for text in [
        "path.join('.', 'crm', name)",
        "const PARTS = ['crm','lead','get'];\ncall(PARTS.join('/'));",
        "const PARTS = ['crm','lead','get'];\ncall(PARTS);",
    ] {
        assert_eq!(said(text), NOTHING, "{text}");
    }
}

#[test]
fn a_constant_in_small_letters_is_one_and_a_variable_may_be_looked_at() {
    for text in [
        "const ns = 'crm';\ncall(ns + '.lead.get');",
        "const ns = `crm`;\ncall(`${ns}.lead.get`);",
        "const ns: string = 'crm.lead';\ncall(ns + '.get');",
        "const entity = 'lead';\ncall(`crm.${entity}.get`);",
        "const val ns = \"crm.lead\"\ncall(ns + \".get\")",
    ] {
        assert_eq!(said(text), ["+crm.lead.get"], "{text}");
    }
    for text in [
        "let ns = 'crm.lead';\ncall(ns + '.get');",
        "$ns = 'crm.lead';\n$b->call($ns . '.get');",
        "$ns = 'crm.lead';\n$b->call($ns.'.get');",
        "$ns = 'crm.lead';\n$b->call(\"$ns.get\");",
        "const ns = 'crm.lead';\nconst f = (ns) => ns + '.get';",
        "const ns = 'crm.lead';\nfunction f(ns, b) { return `${ns}.get`; }",
    ] {
        assert_eq!(said(text), ["?crm.lead"], "{text}");
    }
    for text in [
        "const type = 'task';\nf(type + id);",
        "<div class=\"task\" type=\"crm\">",
        "let ns = 'crm.lead';\ncall(ns + '.all');",
    ] {
        assert_eq!(said(text), NOTHING, "{text}");
    }
}

#[test]
fn comments_between_the_pieces_are_read_over() {
    for text in [
        "'crm.lead' /* entity */ . '.get'",
        "'crm.' . // entity\n 'lead.get'",
        "\"crm.lead\" + # entity\n \".get\"",
        "['crm', /* a */ 'lead', 'get' // last\n].join('.')",
    ] {
        assert_eq!(said(text), ["+crm.lead.get"], "{text}");
    }
    assert_eq!(
        said_in("('crm.lead'  # entity\n '.get')", Language::Python),
        ["+crm.lead.get"]
    );
    assert_eq!(said("'crm.lead' // . '.get'\n;"), NOTHING);
}

#[test]
fn an_n8n_node_for_bitrix24_is_said_to_be_unseen() {
    let text = r#"{"nodes":[{"parameters":{"resource":"lead","operation":"get"},"type":"n8n-nodes-base.bitrix24"}]}"#;
    assert_eq!(said(text), ["?node"]);
}

#[test]
fn many_names_in_small_letters_read_a_text_a_hundred_times_at_most() {
    let (_, finder) = finder();
    let one = |n| format!("let n{n} = 'crm.lead'; x(n{n} + '.get');\n");
    let text: String = (0..2_000).map(one).collect();
    let hits = finder.find(text.as_bytes(), Language::Other);
    assert!((1..=100).contains(&hits.len()), "{}", hits.len());
}
