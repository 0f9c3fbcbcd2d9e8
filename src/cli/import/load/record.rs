//! A line → what is to be registered.

use std::fmt::{self, Display};
use std::str::FromStr;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use strum::VariantArray;

use super::super::super::argument::one_of;
use super::csv::cells;
use crate::domain::{PersonName, RcsType, ReviewStatus, SourceInput, UniqueName};
use crate::protocol::Refusal;
use crate::workflow::Registration;

/// An import, as a line describes it: with the field names of the `register` command.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    import: UniqueName,
    #[serde(deserialize_with = "named")]
    rcs_type: RcsType,
    url: Option<String>,
    cvs_root: Option<String>,
    cvs_module: Option<String>,
    owner: Option<PersonName>,
    #[serde(default, deserialize_with = "optional_named")]
    review_status: Option<ReviewStatus>,
    #[serde(default, deserialize_with = "optional_seconds")]
    update_interval_s: Option<u32>,
}

/// The columns that a table may have.
const COLUMNS: [&str; 8] =
    ["import", "rcs_type", "url", "cvs_root", "cvs_module", "owner", "review_status", "update_interval_s"];

/// How the lines of a file are read.
pub(super) enum Reader {
    /// One object a line.
    Json,
    /// Cells, under these names.
    Csv(Vec<String>),
}

impl Reader {
    /// For a table whose first line is this.
    pub(super) fn of_header(line: &[u8]) -> Result<Self, String> {
        let columns = cells(text(line).map_err(|refusal| refusal.reason)?)?;
        let columns: Vec<String> = columns.iter().map(|name| name.trim().to_owned()).collect();
        for (index, name) in columns.iter().enumerate() {
            if !COLUMNS.contains(&name.as_str()) {
                return Err(format!("there is no column {name:?}; there are {}", COLUMNS.join(", ")));
            }
            if columns.iter().take(index).any(|other| other == name) {
                return Err(format!("the column {name:?} stands there twice"));
            }
        }
        Ok(Self::Csv(columns))
    }

    /// What a line describes; or why it is refused.
    pub(super) fn read(&self, line: &[u8]) -> Result<Registration, Refusal> {
        let line = text(line)?;
        let record = match self {
            Self::Json => from_json(line),
            Self::Csv(columns) => from_cells(columns, line),
        };
        record.map(Registration::from).map_err(Refusal::malformed)
    }
}

fn text(line: &[u8]) -> Result<&str, Refusal> {
    let expected = |error: std::str::Utf8Error| format!("byte {}: expected UTF-8", error.valid_up_to() + 1);
    let text = std::str::from_utf8(line).map_err(|error| Refusal::malformed(expected(error)))?;
    if text.contains('\0') {
        return Err(Refusal::malformed("expected a text without NUL"));
    }
    Ok(text)
}

fn from_json(line: &str) -> Result<Record, String> {
    // serde would read a struct from an array, too.
    if !line.trim_start().starts_with('{') {
        return Err("expected a JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_str(line);
    let record = serde_path_to_error::deserialize(&mut json).map_err(told)?;
    json.end().map_err(|error| format!("after the object: {error}"))?;
    Ok(record)
}

/// A cell that is empty is a field that is absent.
fn from_cells(columns: &[String], line: &str) -> Result<Record, String> {
    let cells = cells(line)?;
    if cells.len() != columns.len() {
        return Err(format!("expected {} cells, found {}", columns.len(), cells.len()));
    }
    let fields = columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
    let fields = fields.map(|(name, cell)| (name.clone(), Value::String(cell.into_owned()))).collect();
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(told)
}

/// Where it is wrong, and what was expected.
fn told<E: Display>(error: serde_path_to_error::Error<E>) -> String {
    match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    }
}

/// Reads a name of an enumeration as the command line does.
fn named<'de, D: Deserializer<'de>, T: FromStr + Display + VariantArray>(from: D) -> Result<T, D::Error> {
    one_of(&String::deserialize(from)?).map_err(de::Error::custom)
}

fn optional_named<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr + Display + VariantArray,
{
    let word = Option::<String>::deserialize(from)?;
    word.map(|word| one_of(&word).map_err(de::Error::custom)).transpose()
}

/// Reads seconds, which a cell holds as text.
fn optional_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    struct Seconds;

    impl de::Visitor<'_> for Seconds {
        type Value = Option<u32>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of whole seconds")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
            let wrong = |_| E::invalid_value(de::Unexpected::Unsigned(seconds), &self);
            u32::try_from(seconds).map(Some).map_err(wrong)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(Some).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    from.deserialize_any(Seconds)
}

impl From<Record> for Registration {
    fn from(record: Record) -> Self {
        let Record { import, rcs_type, url, cvs_root, cvs_module, owner, review_status, update_interval_s } =
            record;
        Self {
            unique_name: import,
            rcs_type,
            source: SourceInput { url, cvs_root, cvs_module },
            owner,
            review_status,
            update_interval: update_interval_s.map(|seconds| TimeDelta::seconds(seconds.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"import": "~a/b/c", "rcs_type": "git", "url": "https://a.org/b,\"c", "owner": "ann",
        "review_status": null, "update_interval_s": 60}"#;

    fn table(header: &str) -> Reader {
        Reader::of_header(header.as_bytes()).unwrap()
    }

    #[track_caller]
    fn check_refused(reader: &Reader, line: &[u8], expected: &str) {
        let refusal = reader.read(line).unwrap_err();
        assert_eq!(refusal.code, "malformed");
        assert!(refusal.reason.contains(expected), "{}", refusal.reason);
    }

    #[test]
    fn an_object_and_a_line_of_a_table_say_the_same() {
        let described = Reader::Json.read(JSON.as_bytes()).unwrap();
        assert_eq!(described.unique_name.as_str(), "~a/b/c");
        assert_eq!((described.rcs_type, described.review_status), (RcsType::Git, None));
        assert_eq!(described.update_interval, Some(TimeDelta::seconds(60)));

        let reader = table("update_interval_s,import, rcs_type ,url,owner,review_status");
        let line = br#"60,~a/b/c,GIT,"https://a.org/b,""c",ann,"#;
        assert_eq!(reader.read(line).unwrap(), described);
    }

    #[test]
    fn what_is_no_record_says_where_and_what_was_expected() {
        check_refused(&Reader::Json, b"[]", "expected a JSON object");
        check_refused(&Reader::Json, b"{\"import\": ", "EOF while parsing");
        check_refused(&Reader::Json, br#"{"import": "a/b"}"#, "import: import \"a/b\" is not a name");
        check_refused(&Reader::Json, br#"{"import": "~a/b/c", "uri": "x"}"#, "unknown field `uri`");
        check_refused(&Reader::Json, br#"{"import": "~a/b/c"}"#, "missing field `rcs_type`");
        check_refused(&Reader::Json, br#"{"rcs_type": "darcs"}"#, "rcs_type: expected one of CVS, SVN");
        check_refused(&Reader::Json, br#"{"update_interval_s": -1}"#, "expected a number of whole seconds");
        check_refused(&Reader::Json, &[JSON.as_bytes(), b"{}"].concat(), "after the object");
        check_refused(&Reader::Json, b"{\"import\": \"~a/b/\xff\"}", "byte 18: expected UTF-8");
        check_refused(&Reader::Json, b"{\0}", "without NUL");

        let reader = table("import,rcs_type,url,update_interval_s");
        check_refused(&reader, b"~a/b/c,GIT,https://a.org/b", "expected 4 cells, found 3");
        check_refused(&reader, b"~a/b/c,GIT,\"https://a.org/b,", "does not end on its line");
        check_refused(&reader, b"~a/b/c,GIT,https://a.org/b,soon", "update_interval_s: invalid value");
        check_refused(&reader, b"~a/b/c,,https://a.org/b,", "missing field `rcs_type`");
    }

    #[test]
    fn a_table_names_columns_that_there_are_once_each() {
        #[track_caller]
        fn check(header: &str, expected: &str) {
            let Err(reason) = Reader::of_header(header.as_bytes()) else { panic!("{header}") };
            assert!(reason.contains(expected), "{reason}");
        }
        check("import,uri", "there is no column \"uri\"; there are import, rcs_type, url");
        check("import,url,import", "the column \"import\" stands there twice");
        check("import,\"url", "does not end");
    }
}
