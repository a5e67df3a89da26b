//! What one source file says of itself: which paths it names, which functions it has, and how long they are.
//!
//! Read from tokens and items, so comments, strings and tests (`#[cfg(test)]`) count for nothing.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Item, ItemFn, ItemMod, ItemUse, UseTree};

/// A path that a file names, and where.
#[derive(Debug, Clone)]
pub struct Named {
    pub path: Vec<String>,
    pub line: usize,
    /// `pub use`: the file hands the name on, and does not use it.
    pub handed_on: bool,
}

/// A function with a body: its name, its first line, and how many lines it has.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// One file of a crate.
#[derive(Debug, Default)]
pub struct Source {
    pub lines: usize,
    /// Each path as it is written; the first segment may be `crate`, `self`, `super`, or a name in scope.
    pub named: Vec<Named>,
    /// What a `use` brings into scope: the short name, and the path that it stands for.
    pub scope: BTreeMap<String, Vec<String>>,
    /// The paths of `use …::*`.
    pub globs: Vec<Vec<String>>,
    pub functions: Vec<Function>,
    /// Lines with a reason for a long function (`// Long: …`).
    pub reasons: Vec<usize>,
}

pub fn read(text: &str) -> Result<Source, syn::Error> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader::default();
    reader.source.lines = text.lines().count();
    reader.source.reasons = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with("// Long: "))
        .map(|(at, _)| at + 1)
        .collect();
    reader.visit_file(&file);
    Ok(reader.source)
}

#[derive(Default)]
struct Reader {
    source: Source,
    /// How many inline modules deep: each needs one `super` more to leave the file.
    inline: Vec<String>,
}

impl Reader {
    fn name(&mut self, path: Vec<String>, line: usize, handed_on: bool) {
        // `super` inside an inline module is still this file.
        let ups = path.iter().take_while(|part| *part == "super").count();
        if ups > 0 && ups <= self.inline.len() {
            return;
        }
        let path = path[ups.min(self.inline.len())..].to_vec();
        self.source.named.push(Named {
            path,
            line,
            handed_on,
        });
    }

    fn tree(&mut self, tree: &UseTree, before: &[String], handed_on: bool) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(name.to_string());
            path
        };
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident), handed_on),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before, handed_on);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.bring(
                    before.to_vec(),
                    before.last().cloned(),
                    name.span(),
                    handed_on,
                );
            }
            UseTree::Name(name) => {
                let short = Some(name.ident.to_string());
                self.bring(with(&name.ident), short, name.span(), handed_on);
            }
            UseTree::Rename(name) => {
                let short = Some(name.rename.to_string());
                self.bring(with(&name.ident), short, name.span(), handed_on);
            }
            UseTree::Glob(glob) => {
                self.source.globs.push(before.to_vec());
                self.name(before.to_vec(), glob.span().start().line, handed_on);
            }
        }
    }

    fn bring(
        &mut self,
        path: Vec<String>,
        short: Option<String>,
        span: proc_macro2::Span,
        handed_on: bool,
    ) {
        if let (Some(short), true) = (short, self.inline.is_empty()) {
            self.source.scope.insert(short, path.clone());
        }
        self.name(path, span.start().line, handed_on);
    }

    /// Paths in the tokens of a macro, which nobody has parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let (
                        Some(TokenTree::Punct(one)),
                        Some(TokenTree::Punct(two)),
                        Some(TokenTree::Ident(next)),
                    ) = (tokens.get(at + 1), tokens.get(at + 2), tokens.get(at + 3))
                        && one.as_char() == ':'
                        && two.as_char() == ':'
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    if path.len() > 1 {
                        self.name(path, first.span().start().line, false);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn function(&mut self, name: &syn::Ident, start: proc_macro2::Span, block: &syn::Block) {
        let (first, last) = (start.start().line, block.span().end().line);
        self.source.functions.push(Function {
            name: name.to_string(),
            line: first,
            lines: last + 1 - first,
        });
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                list.tokens
                    .to_string()
                    .split(|c: char| !c.is_alphanumeric())
                    .any(|word| word == "test")
            })
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            self.inline.push(item.ident.to_string());
            syn::visit::visit_item_mod(self, item);
            self.inline.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let handed_on = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &[], handed_on);
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.name(parts, path.span().start().line, false);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        self.visit_path(&invoked.path);
        self.tokens(invoked.tokens.clone());
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig.ident, item.sig.span(), &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if is_test(&item.attrs) {
            return;
        }
        self.function(&item.sig.ident, item.sig.span(), &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }
}
