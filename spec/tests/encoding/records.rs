//! Chapter 10, the fields and choices of all that is encoded, is written from the sources and compared with them.
//!
//! `YILIAN_WRITE_CHAPTER=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type, Visibility};
use yilian_spec::domain::OperationKind;

const OPENING: &str = "# 10. Records

What is encoded, field by field: written from the sources of `spec` by `spec/tests/encoding/records.rs`, which also compares it with
them. A record is the encodings of its fields, one after the other, without anything between. A choice is its number (u32, or u8 where its table says so), and
then the fields of what was chosen. How numbers, lists, sets, maps, options and texts are encoded stands in chapter 1. A field's
name is that in JSON. What it means is said here in short, and in the chapters in full; what it may hold is said there alone.

";

/// What the sources define by other means than a record with fields, and what they encode as.
const SIMPLE: [(&str, &str); 2] = [("NodeHash", "32 bytes"), ("Operation", "a choice: see the last table")];

/// What one item of the sources encodes as.
struct Section {
    name: String,
    folder: String,
    says: String,
    table: String,
    /// The types that it names.
    names: BTreeSet<String>,
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn is_encoded(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("derive") && list.tokens.to_string().contains("SchemaWrite")
    })
}

/// The first sentence of the documentation.
fn says(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(literal) = &pair.value else { continue };
        let Lit::Str(line) = &literal.lit else { continue };
        if !pair.path.is_ident("doc") {
            continue;
        }
        let line = line.value();
        if line.trim().is_empty() {
            break;
        }
        text.push_str(line.trim());
        text.push(' ');
    }
    let text = text.replace("[`", "`").replace("`]", "`").replace("crate::", "").replace('|', "\\|");
    let end = text.find(". ").map_or(text.trim_end().len(), |end| end + 1);
    text[..end].to_owned()
}

/// A type as the chapters name it; the types of the protocol that it names are noted.
fn shown(kind: &Type, names: &mut BTreeSet<String>) -> String {
    match kind {
        Type::Path(path) => {
            let last = path.path.segments.last().unwrap();
            let name = last.ident.to_string();
            let inner: Vec<String> = match &last.arguments {
                PathArguments::AngleBracketed(arguments) => arguments
                    .args
                    .iter()
                    .filter_map(|argument| match argument {
                        GenericArgument::Type(kind) => Some(shown(kind, names)),
                        _ => None,
                    })
                    .collect(),
                PathArguments::None | PathArguments::Parenthesized(_) => Vec::new(),
            };
            match (name.as_str(), &inner[..]) {
                ("Vec", [of]) => format!("list of {of}"),
                ("BTreeSet", [of]) => format!("set of {of}"),
                ("BTreeMap", [key, value]) => format!("map from {key} to {value}"),
                ("Option", [of]) => format!("option of {of}"),
                ("Box", [of]) => of.clone(),
                ("String", []) => "text".to_owned(),
                (_, []) => {
                    if name.starts_with(char::is_uppercase) {
                        names.insert(name.clone());
                    }
                    name
                }
                (_, [..]) => panic!("{name} of {inner:?} has no words"),
            }
        }
        Type::Array(array) => {
            let Expr::Lit(length) = &array.len else { panic!("a length that is no number") };
            let Lit::Int(length) = &length.lit else { panic!("a length that is no number") };
            match shown(&array.elem, names).as_str() {
                "u8" => format!("{length} bytes"),
                other => format!("{length} of {other}"),
            }
        }
        Type::Tuple(tuple) => {
            let parts: Vec<String> = tuple.elems.iter().map(|kind| shown(kind, names)).collect();
            format!("({})", parts.join(", "))
        }
        _ => panic!("a kind of type without words"),
    }
}

/// A field's type, with the bound of rule E-8 where it has one.
fn field_type(field: &syn::Field, names: &mut BTreeSet<String>) -> String {
    let kind = shown(&field.ty, names);
    let adapter = field.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("wincode") => Some(list.tokens.to_string()),
        _ => None,
    });
    match adapter.as_deref() {
        None => kind,
        Some("with = \"FromInto<Unsigned, _>\"" | "with = \"FromInto<Signed, _>\"") => {
            format!("{kind} (E-8)")
        }
        Some(other) => panic!("a field is encoded {other}, for which there are no words"),
    }
}

/// A field's name in JSON. That of a time or an amount says its unit.
fn json_name(field: &syn::Field) -> String {
    let renamed = field.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("serde") => {
            let tokens = list.tokens.to_string();
            tokens.strip_prefix("rename = \"").map(|name| name.trim_end_matches('"').to_owned())
        }
        _ => None,
    });
    let name = renamed.unwrap_or_else(|| field.ident.as_ref().unwrap().to_string());
    let kind = shown(&field.ty, &mut BTreeSet::new());
    let unit = match kind.trim_start_matches("option of ") {
        "LedgerTime" => "_ms",
        "AmountMinor" => "_minor",
        _ => "",
    };
    assert!(name.ends_with(unit), "{name} is a {kind}: its name ends in {unit}");
    name
}

fn fields_inline(fields: &Fields, names: &mut BTreeSet<String>) -> String {
    let one = |field: &syn::Field, names: &mut BTreeSet<String>| {
        let kind = field_type(field, names);
        field.ident.as_ref().map_or_else(|| kind.clone(), |name| format!("{name}: {kind}"))
    };
    fields.iter().map(|field| one(field, names)).collect::<Vec<_>>().join(", ")
}

fn tag(attributes: &[Attribute]) -> Option<u32> {
    let tokens = attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("wincode") => Some(list.tokens.to_string()),
        _ => None,
    })?;
    let (_, number) = tokens.split_once('=')?;
    Some(number.trim().parse().unwrap())
}

/// Whether the number of a choice takes one byte instead of four.
fn has_byte_tag(attributes: &[Attribute]) -> bool {
    let is_byte = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => {
            list.path.is_ident("wincode") && list.tokens.to_string() == "tag_encoding = \"u8\""
        }
        _ => false,
    };
    attributes.iter().any(is_byte)
}

fn section(item: &Item, folder: &str) -> Option<Section> {
    let mut names = BTreeSet::new();
    let (name, attributes, table) = match item {
        // What only says how a number is encoded is no record.
        Item::Struct(record) if is_encoded(&record.attrs) && matches!(record.vis, Visibility::Public(_)) => {
            let mut table = String::new();
            match &record.fields {
                Fields::Named(fields) => {
                    table.push_str("| field | type | |\n|---|---|---|\n");
                    for field in &fields.named {
                        let (name, kind) = (json_name(field), field_type(field, &mut names));
                        writeln!(table, "| `{name}` | {kind} | {} |", says(&field.attrs)).unwrap();
                    }
                }
                other => writeln!(table, "Encoded as: {}.", fields_inline(other, &mut names)).unwrap(),
            }
            (&record.ident, &record.attrs, table)
        }
        Item::Enum(choice) if is_encoded(&choice.attrs) => {
            let number = if has_byte_tag(&choice.attrs) { "number (u8)" } else { "number" };
            let mut table = format!("| {number} | choice | fields | |\n|---|---|---|---|\n");
            for (position, variant) in (0..).zip(&choice.variants) {
                let number = tag(&variant.attrs).unwrap_or(position);
                let fields = fields_inline(&variant.fields, &mut names);
                let (name, says) = (&variant.ident, says(&variant.attrs));
                writeln!(table, "| {number} | `{name}` | {fields} | {says} |").unwrap();
            }
            (&choice.ident, &choice.attrs, table)
        }
        _ => return None,
    };
    let (name, folder) = (name.to_string(), folder.to_owned());
    Some(Section { name, folder, says: says(attributes), table, names })
}

/// The types that a macro writes of this list in the source of identifiers.
fn listed<'s>(source: &'s str, name: &str) -> Vec<&'s str> {
    let list = source.split(&format!("{name}! {{\n")).nth(1).unwrap().split("\n}\n").next().unwrap();
    list.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect()
}

fn camel(name: &str) -> String {
    let upper = |part: &str| part[..1].to_uppercase() + &part[1..];
    name.split('_').map(upper).collect()
}

fn sections(root: &Path) -> Vec<Section> {
    let mut paths = Vec::new();
    sources(root, &mut paths);
    paths.sort();
    let mut sections = Vec::new();
    for path in paths {
        let relative = path.strip_prefix(root).unwrap();
        let folder = relative.iter().next().unwrap().to_str().unwrap();
        let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
        sections.extend(file.items.iter().filter_map(|item| section(item, folder)));
    }
    sections
}

fn written() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let ids = fs::read_to_string(root.join("base/id.rs")).unwrap();
    let sections = sections(&root);
    let mut text = String::from(OPENING);
    text.push_str("## Names and hashes\n\n| type | encoded as |\n|---|---|\n");
    let mut simple: BTreeMap<&str, &str> = SIMPLE.into();
    simple.extend(listed(&ids, "hash_newtype").into_iter().map(|name| (name, "32 bytes")));
    simple.extend(listed(&ids, "slug_newtype").into_iter().map(|name| (name, "text: a slug (S-1)")));
    for (name, encoded) in &simple {
        writeln!(text, "| `{name}` | {encoded} |").unwrap();
    }
    let mut folder = "";
    for section in &sections {
        if section.folder != folder {
            folder = &section.folder;
            write!(text, "\n## `spec/src/{folder}`\n").unwrap();
        }
        write!(text, "\n### {}\n\n{}\n\n{}", section.name, section.says, section.table).unwrap();
    }
    text.push_str(
        "\n## Operation\n\nOne operation of a transaction.\n\n| number | choice | fields |\n|---|---|---|\n",
    );
    for kind in OperationKind::ALL {
        let record = camel(kind.name);
        writeln!(text, "| {} | `{record}` | {record} |", kind.number).unwrap();
    }
    let known: BTreeSet<&str> =
        sections.iter().map(|section| section.name.as_str()).chain(simple.keys().copied()).collect();
    for section in &sections {
        for name in &section.names {
            assert!(known.contains(name.as_str()), "{} names {name}, which nothing describes", section.name);
        }
    }
    for kind in OperationKind::ALL {
        assert!(known.contains(camel(kind.name).as_str()), "{} has no record", kind.name);
    }
    text
}

#[test]
fn chapter_10_describes_what_the_code_encodes() {
    let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/10-records.md");
    let written = written();
    if std::env::var_os("YILIAN_WRITE_CHAPTER").is_some() {
        fs::write(&chapter, &written).unwrap();
    }
    let stands = fs::read_to_string(&chapter).unwrap_or_default();
    let differs = stands.lines().zip(written.lines()).find(|(stands, written)| stands != written);
    assert!(
        stands == written,
        "chapter 10 is not what the code encodes, from {differs:?}: YILIAN_WRITE_CHAPTER=1"
    );
}
