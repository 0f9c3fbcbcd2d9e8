//! One line of CSV → its cells, as RFC 4180 writes them.
//!
//! A record is one line: no field of an import holds the end of a line, and so a forgotten quote spoils one
//! line and not the rest of the file.

use std::borrow::Cow;

/// The cells of a line; or what is wrong with it.
pub(super) fn cells(line: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let mut cells = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (cell, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted)?,
            None => plain_cell(text)?,
        };
        cells.push(cell);
        rest = after;
    }
    Ok(cells)
}

/// A cell, and what follows the comma after it; none at the end of the line.
type Cell<'a> = (Cow<'a, str>, Option<&'a str>);

fn plain_cell(text: &str) -> Result<Cell<'_>, &'static str> {
    let (cell, rest) = text.split_once(',').map_or((text, None), |(cell, rest)| (cell, Some(rest)));
    if cell.contains('"') {
        return Err("a quote inside of a cell that does not begin with one");
    }
    Ok((Cow::Borrowed(cell), rest))
}

/// A cell after its opening quote; two quotes in it stand for one.
fn quoted_cell(text: &str) -> Result<Cell<'_>, &'static str> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or("a quote that does not end on its line")?;
        cell.push_str(part);
        if let Some(after) = after.strip_prefix('"') {
            cell.push('"');
            rest = after;
            continue;
        }
        return match after.strip_prefix(',') {
            Some(rest) => Ok((Cow::Owned(cell), Some(rest))),
            None if after.is_empty() => Ok((Cow::Owned(cell), None)),
            None => Err("something between a closing quote and the comma"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_commas_outside_of_quotes() {
        #[track_caller]
        fn check(line: &str, expected: &[&str]) {
            assert_eq!(cells(line).unwrap(), expected);
        }
        check("", &[""]);
        check("a,,b", &["a", "", "b"]);
        check(r#""a,b","say ""so""",c,"#, &["a,b", r#"say "so""#, "c", ""]);
        check(r#""""#, &[""]);
        check(r#""""""#, &["\""]);
        check(" a , b", &[" a ", " b"]);
    }

    #[test]
    fn what_is_no_csv_says_what_is_wrong() {
        #[track_caller]
        fn check(line: &str, expected: &str) {
            assert!(cells(line).unwrap_err().contains(expected), "{line}");
        }
        check(r#"a,"b"#, "does not end");
        check(r#"a,"b""#.trim_end_matches('"'), "does not end");
        check(r#""a"b,c"#, "between a closing quote");
        check(r#"a"b,c"#, "inside of a cell");
    }
}
