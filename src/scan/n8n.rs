//! A Bitrix24 node in a workflow of n8n (pure). The node makes the method's name from its resource and operation, each package
//! in its own way: so it is said that there is one, and what it is set to.

use super::names::is_word;

/// How a node's type begins, up to its package; a scope may stand before it.
pub const PACKAGE: &str = "n8n-nodes-";

/// What a node is set to, where the text says so in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// What it works on: `lead`.
    pub resource: Option<String>,
    /// What it does: `getAll`.
    pub operation: Option<String>,
}

/// How far a node's settings are looked for.
const LOOKED_AT: usize = 16 * 1024;

/// Whether the package's name at `start` is part of a type of a node that calls Bitrix24: `"type": "n8n-nodes-base.bitrix24"`.
pub fn is_node(text: &[u8], start: usize) -> bool {
    let in_type = |b: &u8| is_word(*b) || matches!(b, b'-' | b'.' | b'@' | b'/');
    let length = text[start..].iter().take_while(|b| in_type(b)).count();
    let name = String::from_utf8_lossy(&text[start..start + length]).to_ascii_lowercase();
    let calls = name
        .split_once('.')
        .is_some_and(|(_, node)| node.contains("bitrix") && !node.ends_with("trigger"));
    let scope = text[..start]
        .iter()
        .rev()
        .take(60)
        .take_while(|b| in_type(b))
        .count();
    let mut before = text[..start - scope].iter().rev().take(12);
    let quoted = matches!(before.next(), Some(b'"' | b'\''));
    let key: Vec<u8> = before
        .filter(|b| is_word(**b) || **b == b':')
        .copied()
        .take(5)
        .collect();
    calls && quoted && key == b":epyt"
}

/// What the nodes are set to whose types stand at these ascending places: settings stand in the same object.
pub fn settings(text: &[u8], types: &[usize]) -> Vec<Node> {
    let mut nodes = vec![Node::default(); types.len()];
    let mut open: Vec<(usize, Option<usize>)> = Vec::new();
    let (mut next, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.iter().enumerate() {
        if types.get(next) == Some(&at) {
            if let Some(object) = open.last_mut() {
                object.1 = Some(next);
            }
            next += 1;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => open.push((at, None)),
            b'}' if !quoted => {
                if let Some((start, Some(node))) = open.pop() {
                    let object = &text[start..at.min(start + LOOKED_AT)];
                    nodes[node] = Node {
                        resource: setting(object, "\"resource\""),
                        operation: setting(object, "\"operation\""),
                    };
                }
            }
            _ => {}
        }
    }
    nodes
}

/// The word that a key has; an expression or anything else is none.
fn setting(object: &[u8], key: &str) -> Option<String> {
    let at = memchr::memmem::find(object, key.as_bytes())? + key.len();
    let value = object[at..].trim_ascii_start().strip_prefix(b":")?;
    let value = value.trim_ascii_start().strip_prefix(b"\"")?;
    let length = value.iter().take_while(|b| is_word(**b)).count();
    let word = (1..=40).contains(&length) && value.get(length) == Some(&b'"');
    word.then(|| String::from_utf8_lossy(&value[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(text: &str) -> Vec<Node> {
        let all = memchr::memmem::find_iter(text.as_bytes(), PACKAGE);
        let types: Vec<usize> = all.filter(|at| is_node(text.as_bytes(), *at)).collect();
        settings(text.as_bytes(), &types)
    }

    fn node(resource: &str, operation: &str) -> Node {
        Node {
            resource: Some(resource.into()),
            operation: Some(operation.into()),
        }
    }

    #[test]
    fn each_bitrix24_node_has_its_own_resource_and_operation() {
        let text = r#"{"nodes": [
            {"parameters": {"resource": "lead", "operation": "getAll", "q": "}{\""}, "type": "n8n-nodes-base.bitrix24"},
            {"type": "n8n-nodes-base.set", "parameters": {"resource": "x"}},
            {"type": "@some-one/n8n-nodes-bitrix24.bitrix24Crm", "parameters": {"operation": "add", "resource": "deal"}}
        ]}"#;
        assert_eq!(nodes(text), [node("lead", "getAll"), node("deal", "add")]);
    }

    #[test]
    fn what_a_node_is_set_to_at_run_time_is_not_known() {
        let text =
            r#"{"type":"n8n-nodes-bitrix.bitrix","parameters":{"resource":"={{ $json.x }}"}}"#;
        assert_eq!(nodes(text), [Node::default()]);
    }

    #[test]
    fn a_package_a_trigger_and_another_key_are_no_node() {
        for text in [
            r#"{"name": "n8n-nodes-bitrix24"}"#,
            r#"{"type": "n8n-nodes-bitrix24.bitrix24Trigger"}"#,
            r#"{"name": "n8n-nodes-base.bitrix24"}"#,
            r#"{"type": "n8n-nodes-base.httpRequest", "url": "https://x.bitrix24.com"}"#,
        ] {
            assert_eq!(nodes(text), [], "{text}");
        }
    }
}
