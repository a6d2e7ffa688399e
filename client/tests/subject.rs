//! The link table on real files: what was given out is kept, by one process or several, also when one is killed.

use age::secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use yilian_client::subject::{ENTRIES_MAX, LineError, SubjectError, SubjectTable};
use yilian_local::durable::FileError;
use yilian_local::sealed::{SealError, WorkFactor};
use yilian_spec::base::id::{InstitutionId, SubjectTag};

/// Long enough for whoever holds the table, however slow the machine.
const PATIENT: Duration = Duration::from_secs(300);

static KEEPER: LazyLock<InstitutionId> =
    LazyLock::new(|| InstitutionId::new("some-hospital").expect("a slug"));

/// Record numbers of the keeper's.
fn kept<'a>(numbers: &[&'a str]) -> Vec<(&'static InstitutionId, &'a str)> {
    numbers.iter().map(|number| (&*KEEPER, *number)).collect()
}

fn secret() -> SecretString {
    SecretString::from("right")
}

fn new_table() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("subjects");
    SubjectTable::create(&path, &secret(), WorkFactor::TESTS_ONLY).expect("a new table");
    (directory, path)
}

fn open(path: &Path) -> SubjectTable {
    try_open(path, PATIENT).expect("the table opens")
}

fn try_open(path: &Path, wait: Duration) -> Result<SubjectTable, SubjectError> {
    SubjectTable::open(path, &secret(), WorkFactor::TESTS_ONLY, wait)
}

fn entries(table: &SubjectTable) -> BTreeMap<String, SubjectTag> {
    table.list().map(|(number, tag)| (number.to_owned(), tag)).collect()
}

#[test]
fn a_tag_is_drawn_once_and_found_both_ways() {
    let (_directory, path) = new_table();
    let mut table = open(&path);
    assert!(table.is_empty());
    let tag = table.tag_for(&KEEPER, "MRN-0017").unwrap();
    assert_eq!(table.tag_for(&KEEPER, "MRN-0017").unwrap(), tag);
    assert_ne!(table.tag_for(&KEEPER, "MRN-0018").unwrap(), tag);
    assert!(tag.is_kept_by(&KEEPER));
    drop(table);
    let mut table = open(&path);
    assert_eq!(table.tag_for(&KEEPER, "MRN-0017").unwrap(), tag);
    assert_eq!(table.find(&tag), Some("MRN-0017"));
    assert_eq!(table.find(&SubjectTag([0; 32])), None);
    assert_eq!(table.len(), 2);
}

#[test]
fn a_number_that_looks_the_same_has_the_same_tag_however_it_was_typed() {
    let (_directory, path) = new_table();
    let mut table = open(&path);
    let tags =
        table.tags_for(&kept(&["Jos\u{e9}-17", "Jose\u{301}-17", "\u{feff}Jos\u{e9}-\u{200b}17"])).unwrap();
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    assert_eq!((table.len(), table.find(&tags[0])), (1, Some("Jos\u{e9}-17")));
    assert_eq!(table.tag_of("Jose\u{301}-\u{200b}17"), Some(tags[0]));
    // An export of another program, with the other form, adds nothing and contradicts nothing.
    let other = format!("yilian subjects v1\nJose\u{301}-17\t{}\n", hex::encode(tags[0].0));
    assert_eq!(table.import(other.as_bytes()).unwrap(), 0);
    assert!(
        matches!(table.tag_for(&KEEPER, "\u{200b}\u{2060}"), Err(SubjectError::RecordNumber)),
        "nothing is left of it"
    );
    assert_eq!(table.forget("Jose\u{301}-17").unwrap(), Some(tags[0]));
    assert!(open_is_empty(table, &path));
}

#[test]
fn tags_known_from_elsewhere_are_taken_where_there_is_none_and_contradict_nothing() {
    let (_directory, path) = new_table();
    let mut table = open(&path);
    let own = table.tag_for(&KEEPER, "MRN-1").unwrap();
    let (one, two) = (SubjectTag([1; 32]), SubjectTag([2; 32]));
    for contradiction in [("MRN-1", one), ("MRN-2", own)] {
        let error = table.adopt(&[("MRN-9", two), contradiction]).unwrap_err();
        assert!(matches!(error, SubjectError::OtherTag { .. }), "{error}");
    }
    table.adopt(&[("MRN-1", own), ("MRN-3", two), ("\u{200b}MRN-3", two)]).unwrap();
    drop(table);
    let mut table = open(&path);
    assert_eq!((table.tag_of("MRN-1"), table.tag_of("MRN-9")), (Some(own), None));
    assert_eq!((table.tag_of("MRN-3"), table.len()), (Some(two), 2));
    assert!(matches!(table.adopt(&[("", one)]), Err(SubjectError::RecordNumber)));
}

fn open_is_empty(table: SubjectTable, path: &Path) -> bool {
    drop(table);
    open(path).is_empty()
}

#[test]
fn thousands_are_added_with_one_write() {
    let (_directory, path) = new_table();
    let numbers: Vec<String> = (0..10_000).map(|number| format!("病历-{number}")).collect();
    let mut asked: Vec<&str> = numbers.iter().map(String::as_str).collect();
    asked.push("病历-3");
    let mut table = open(&path);
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let held = fs::File::open(&path).unwrap();
    let before = inode(&path);
    let tags = table.tags_for(&kept(&asked)).unwrap();
    assert_ne!(inode(&path), before);
    drop(held);
    let after = inode(&path);
    assert_eq!(tags[3], tags[10_000]);
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), 10_000);
    assert_eq!(table.tags_for(&kept(&asked)).unwrap(), tags);
    assert_eq!(inode(&path), after, "nothing new, nothing written");
    let listed = entries(&table);
    drop(table);
    assert_eq!(entries(&open(&path)), listed);
}

#[test]
fn nothing_in_the_clear_and_nobody_else_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, path) = new_table();
    let tag = open(&path).tag_for(&KEEPER, "MRN-SECRET-4711").unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(10).any(|window| window == b"MRN-SECRET"));
    assert!(!bytes.windows(32).any(|window| window == tag.0));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.with_extension("lock")).unwrap().len(), 0);
}

#[test]
fn a_bad_record_number_is_refused_and_adds_nothing_of_its_batch() {
    let (_directory, path) = new_table();
    let mut table = open(&path);
    let long = "7".repeat(129);
    for wrong in ["", " ", " 7", "7 ", "a\tb", "a\nb", "a\0", long.as_str()] {
        assert!(
            matches!(table.tags_for(&kept(&["good", wrong])), Err(SubjectError::RecordNumber)),
            "{wrong:?}"
        );
        assert!(table.is_empty());
    }
    table.tag_for(&KEEPER, &"7".repeat(128)).unwrap();
    table.tag_for(&KEEPER, "with space, \"quotes\" and 汉字").unwrap();
    drop(table);
    assert_eq!(open(&path).len(), 2);
}

#[test]
fn a_table_is_neither_overwritten_nor_made_by_opening() {
    let (directory, path) = new_table();
    let tag = open(&path).tag_for(&KEEPER, "1").unwrap();
    let again = SubjectTable::create(&path, &secret(), WorkFactor::TESTS_ONLY);
    assert!(matches!(again, Err(SubjectError::File(FileError::Exists { .. }))));
    assert_eq!(open(&path).find(&tag), Some("1"));
    let absent = directory.path().join("absent");
    assert!(matches!(try_open(&absent, PATIENT), Err(SubjectError::Absent { .. })));
    assert!(!absent.exists() && !absent.with_extension("lock").exists());
}

#[test]
fn a_truncated_or_changed_table_and_a_wrong_passphrase_are_named() {
    let (_directory, path) = new_table();
    open(&path).tags_for(&kept(&["1", "2", "3"])).unwrap();
    let wrong = SubjectTable::open(&path, &SecretString::from("wrong"), WorkFactor::TESTS_ONLY, PATIENT);
    assert!(matches!(wrong, Err(SubjectError::Seal { source: SealError::WrongPassphrase, .. })));
    let good = fs::read(&path).unwrap();
    for length in [good.len() - 1, good.len() - 40, good.len() / 2 + 30] {
        fs::write(&path, &good[..length]).unwrap();
        let refused = try_open(&path, PATIENT).unwrap_err();
        assert!(
            matches!(refused, SubjectError::Seal { source: SealError::Damaged, .. }),
            "{length}: {refused}"
        );
        let text = refused.to_string();
        assert!(text.contains("subjects") && text.contains("truncated") && text.contains("backup"), "{text}");
    }
    for length in (0..good.len()).step_by(11) {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(try_open(&path, PATIENT), Err(SubjectError::Seal { .. })), "{length}");
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(open(&path).len(), 3);
}

#[test]
fn a_failed_write_gives_no_tag_out() {
    let (directory, path) = new_table();
    let mut table = open(&path);
    table.tag_for(&KEEPER, "1").unwrap();
    // Without its directory there is nowhere to write, also for a privileged user.
    let moved = directory.path().with_extension("moved");
    fs::rename(directory.path(), &moved).unwrap();
    assert!(matches!(table.tag_for(&KEEPER, "2"), Err(SubjectError::File(FileError::Io { .. }))));
    assert_eq!(table.len(), 1);
    fs::rename(&moved, directory.path()).unwrap();
    table.tag_for(&KEEPER, "2").unwrap();
    drop(table);
    assert_eq!(open(&path).len(), 2);
}

#[test]
fn an_export_is_imported_elsewhere_and_again() {
    let (_one, path) = new_table();
    let mut table = open(&path);
    table.tags_for(&kept(&["b", "a", "c"])).unwrap();
    let text = table.export();
    let numbers: Vec<&str> = text.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(numbers, ["a", "b", "c"]);
    let (_two, other_path) = new_table();
    let mut other = open(&other_path);
    assert_eq!(other.import(text.as_bytes()).unwrap(), 3);
    assert_eq!(other.import(text.as_bytes()).unwrap(), 0);
    drop(other);
    assert_eq!(entries(&open(&other_path)), entries(&table));
}

#[test]
fn an_import_that_contradicts_or_is_malformed_names_the_line_and_adds_nothing() {
    let (_directory, path) = new_table();
    let mut table = open(&path);
    let known = table.tag_for(&KEEPER, "known").unwrap();
    let (fresh, header) = (hex::encode([7; 32]), "yilian subjects v1\n");
    let cases: Vec<(Vec<u8>, usize, LineError)> = vec![
        (Vec::new(), 1, LineError::Header),
        (b"record,tag\n".to_vec(), 1, LineError::Header),
        (header.trim_end().into(), 1, LineError::CutOff),
        (format!("{header}new\t{fresh}").into(), 2, LineError::CutOff),
        (format!("{header}new\t{}", &fresh[..60]).into(), 2, LineError::Tag),
        (format!("{header}new\t{}\n", fresh.to_uppercase().replace('0', "A")).into(), 2, LineError::Tag),
        (format!("{header}new {fresh}\n").into(), 2, LineError::Form),
        (format!("{header}new\t{fresh}\t1\n").into(), 2, LineError::Tag),
        (format!("{header}new\t{fresh}\n\nx\t{fresh}\n").into(), 3, LineError::Form),
        (format!("{header}\t{fresh}\n").into(), 2, LineError::RecordNumber),
        (format!("{header}new\t{fresh}\nknown\t{fresh}\n").into(), 3, LineError::OtherTag),
        (format!("{header}new\t{fresh}\nother\t{known}\n").into(), 3, LineError::OtherRecord),
        (format!("{header}new\t{fresh}\nnew2\t{fresh}\n").into(), 3, LineError::OtherRecord),
        ([header.as_bytes(), b"new\t\xff\n"].concat(), 2, LineError::NotText),
    ];
    for (text, expected_line, expected) in cases {
        match table.import(&text) {
            Err(SubjectError::Line { line, error }) => {
                assert_eq!((line, error), (expected_line, expected), "{}", String::from_utf8_lossy(&text));
            }
            other => panic!("{other:?} for {}", String::from_utf8_lossy(&text)),
        }
        assert_eq!(table.len(), 1);
    }
    drop(table);
    assert_eq!(open(&path).find(&known), Some("known"));
    const { assert!(ENTRIES_MAX >= 1_000_000) };
}

#[test]
fn a_forgotten_record_is_gone_and_gets_another_tag() {
    let (_directory, path) = new_table();
    let mut table = open(&path);
    let tag = table.tag_for(&KEEPER, "1").unwrap();
    assert_eq!(table.forget("1").unwrap(), Some(tag));
    assert_eq!(table.forget("1").unwrap(), None);
    drop(table);
    let mut table = open(&path);
    assert_eq!(table.find(&tag), None);
    assert_ne!(table.tag_for(&KEEPER, "1").unwrap(), tag);
}

#[test]
fn a_held_table_is_busy_also_under_another_name() {
    let (directory, path) = new_table();
    let alias = directory.path().join("alias");
    std::os::unix::fs::symlink(&path, &alias).unwrap();
    let table = open(&path);
    for name in [&path, &alias] {
        assert!(matches!(try_open(name, Duration::ZERO), Err(SubjectError::Busy { .. })));
    }
    drop(table);
    open(&alias).tag_for(&KEEPER, "1").unwrap();
    assert!(fs::symlink_metadata(&alias).unwrap().is_symlink());
    assert_eq!(open(&path).len(), 1);
}

#[test]
fn threads_at_once_lose_nothing() {
    let (_directory, path) = new_table();
    let given: Vec<(String, SubjectTag)> = std::thread::scope(|scope| {
        let add = |thread: usize| {
            let path = &path;
            move || -> Vec<(String, SubjectTag)> {
                // Every thread asks for its own and for common numbers.
                (0..6)
                    .flat_map(|round| [format!("own-{thread}-{round}"), format!("common-{round}")])
                    .map(|number| {
                        let tag = open(path).tag_for(&KEEPER, &number).unwrap();
                        (number, tag)
                    })
                    .collect()
            }
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(add(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let table = open(&path);
    assert_eq!(table.len(), 4 * 6 + 6);
    for (number, tag) in given {
        assert_eq!(table.find(&tag), Some(number.as_str()));
    }
}

const TABLE: &str = "YILIAN_TEST_TABLE";
const PREFIX: &str = "YILIAN_TEST_PREFIX";
const COUNT: &str = "YILIAN_TEST_COUNT";

/// Not a test of itself: what the tests below run in a process of its own. Adds numbers, and says each tag only
/// after it was given out.
#[test]
#[ignore = "the body of the processes that other tests start"]
fn adding_process() {
    let path = PathBuf::from(std::env::var(TABLE).expect("started by another test"));
    let prefix = std::env::var(PREFIX).unwrap();
    let count: usize = std::env::var(COUNT).unwrap().parse().unwrap();
    for number in 0..count {
        let name = format!("{prefix}{number}");
        let tag = open(&path).tag_for(&KEEPER, &name).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ngiven {name} {tag}").unwrap();
        out.flush().unwrap();
    }
}

fn start(path: &Path, prefix: &str, count: usize) -> Child {
    Command::new(std::env::current_exe().expect("a test knows its program"))
        .args(["--exact", "adding_process", "--ignored", "--nocapture", "--test-threads=1"])
        .env(TABLE, path)
        .env(PREFIX, prefix)
        .env(COUNT, count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test can start itself")
}

/// The lines in which a process says what it was given.
fn given(child: &mut Child) -> impl Iterator<Item = (String, SubjectTag)> + use<> {
    BufReader::new(child.stdout.take().expect("piped and not yet taken"))
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            let mut words = line.strip_prefix("given ")?.split(' ');
            // A kill may cut the last line short.
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        })
}

#[test]
fn processes_at_once_lose_nothing() {
    let (_directory, path) = new_table();
    let mut children: Vec<Child> = ["a", "b"].iter().map(|prefix| start(&path, prefix, 15)).collect();
    let given: Vec<_> = children.iter_mut().flat_map(|child| given(child).collect::<Vec<_>>()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(given.len(), 30);
    assert_eq!(entries(&open(&path)), given.into_iter().collect());
}

#[test]
fn a_killed_process_loses_nothing_it_gave_out_and_leaves_the_table_free() {
    let (_directory, path) = new_table();
    let mut expected = BTreeMap::new();
    for round in 0..5 {
        let mut child = start(&path, &format!("round-{round}-"), usize::MAX);
        let mut lines = given(&mut child);
        expected.extend(lines.by_ref().take(3 + round));
        child.kill().unwrap();
        child.wait().unwrap();
        expected.extend(lines);
    }
    assert!(expected.len() >= 3 + 4 + 5 + 6 + 7, "every round had given out what was waited for");
    let found = entries(&open(&path));
    for (number, tag) in &expected {
        assert_eq!(found.get(number), Some(tag), "{number}");
    }
    // At most the one entry of each round that was written but not yet spoken of.
    assert!(found.len() <= expected.len() + 5);
    open(&path).tag_for(&KEEPER, "after").unwrap();
}
