//! Tables for people, documents for programs.
//!
//! Everything is plain where the output is not a terminal, so that it can be searched and cut; on a terminal a
//! table keeps to its width. Texts of others (log tails, reasons, URLs) could hold control characters that a
//! terminal obeys; those are replaced.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

use super::failure::Usage;

/// How what was read is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For people: lists with more columns
    Wide,
    /// One JSON document, for programs
    Json,
    /// Of lists only the names, a line each: for `xargs`
    Name,
}

/// Standard output, as it is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    format: Format,
    is_terminal: bool,
    has_colour: bool,
}

/// A cell, and whether it is good, bad or neither.
#[derive(Clone, Debug)]
pub(super) struct Text {
    text: String,
    mood: Mood,
}

/// How a text is meant. Colour only repeats what the text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Plain,
    Good,
    Bad,
}

impl<T: ToString> From<T> for Text {
    fn from(text: T) -> Self {
        Self::new(text, Mood::Plain)
    }
}

impl Text {
    pub(super) fn new(text: impl ToString, mood: Mood) -> Self {
        Self { text: printable(&text.to_string()), mood }
    }
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        Self { format, is_terminal: is_obedient(&stdout), has_colour: has_colour(&stdout) }
    }

    /// Whether a program reads it.
    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether only names are wanted.
    pub(super) fn is_names(self) -> bool {
        self.format == Format::Name
    }

    /// Prints one document.
    pub(super) fn document(self, document: &impl Serialize) -> io::Result<()> {
        if !self.is_terminal {
            return document_line(document);
        }
        put(&serde_json::to_string_pretty(document).map_err(io::Error::from)?)
    }

    /// Prints a list: its names alone, or a table, with the last columns only where a wide one is wanted.
    pub(super) fn list(
        self,
        header: &[&str],
        wide: &[&str],
        mut rows: Vec<Vec<Text>>,
        none: &str,
    ) -> io::Result<()> {
        match self.format {
            Format::Name => rows.iter().filter_map(|row| row.first()).try_for_each(|name| put(&name.text)),
            Format::Wide => self.table(&[header, wide].concat(), rows, none),
            Format::Table | Format::Json => {
                for row in &mut rows {
                    row.truncate(header.len());
                }
                self.table(header, rows, none)
            }
        }
    }

    /// Says that there are more than were listed, where a program that reads names does not take it for one.
    pub(super) fn more(self, text: &str) -> io::Result<()> {
        if self.format == Format::Name {
            eprintln!("{text}");
            return Ok(());
        }
        line(text)
    }

    /// How many lines the screen has, if it has an end.
    pub(super) fn height(self) -> Option<usize> {
        self.size().map(|(_, lines)| usize::from(lines))
    }

    /// The columns and lines of a terminal that knows them.
    fn size(self) -> Option<(u16, u16)> {
        let (columns, lines) = self.is_terminal.then(terminal_size::terminal_size).flatten()?;
        (columns.0 > 0 && lines.0 > 0).then_some((columns.0, lines.0))
    }

    /// Prints a table; nothing but `none` if it is empty.
    pub(super) fn table(self, header: &[&str], rows: Vec<Vec<Text>>, none: &str) -> io::Result<()> {
        put(&self.table_text(header, rows, none))
    }

    /// A table as text; only `none` if it is empty.
    pub(super) fn table_text(self, header: &[&str], rows: Vec<Vec<Text>>, none: &str) -> String {
        if rows.is_empty() {
            return none.to_owned();
        }
        let mut table = self.bare_table();
        let bold = |name: &&str| {
            let cell = Cell::new(name);
            if self.has_colour { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        table.set_header(header.iter().map(bold));
        for row in rows {
            table.add_row(row.into_iter().map(|text| self.cell(text)));
        }
        // A name is copied, so it stays in one piece.
        if let Some(names) = table.column_mut(0) {
            names.set_constraint(ColumnConstraint::ContentWidth);
        }
        trimmed(&mut table)
    }

    /// Prints what is known of one thing, a line each.
    pub(super) fn fields(self, fields: Vec<(&str, Text)>) -> io::Result<()> {
        put(&self.fields_text(fields))
    }

    /// What is known of one thing, as text.
    pub(super) fn fields_text(self, fields: Vec<(&str, Text)>) -> String {
        let mut table = self.bare_table();
        for (name, text) in fields {
            table.add_row([Cell::new(format!("{name}:")), self.cell(text)]);
        }
        trimmed(&mut table)
    }

    /// Prints one of many screens: on a terminal in the place of the one before, else below it.
    pub(super) fn screen(self, text: &str) -> io::Result<()> {
        if !self.is_terminal {
            return put(&format!("{text}\n"));
        }
        // Every line is cleared as it is written, so nothing flickers: home, text, and the rest of the screen.
        let text = text.replace('\n', "\x1b[K\n");
        put(&format!("\x1b[H{text}\x1b[J"))
    }

    fn bare_table(self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        // A terminal that does not know how wide it is, a serial line for one, gets whole lines like a pipe.
        if let Some((columns, _)) = self.size() {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
        }
        table
    }

    fn cell(self, text: Text) -> Cell {
        let cell = Cell::new(text.text);
        match text.mood {
            Mood::Good if self.has_colour => cell.fg(Color::Green),
            Mood::Bad if self.has_colour => cell.fg(Color::Red),
            _ => cell,
        }
    }
}

/// Prints one of many documents, on a line of its own.
pub(super) fn document_line(document: &impl Serialize) -> io::Result<()> {
    put(&serde_json::to_string(document).map_err(io::Error::from)?)
}

/// Prints a text that was made by [`Output`].
pub(super) fn block(text: &str) -> io::Result<()> {
    put(text)
}

/// Prints one line, or several.
pub(super) fn line(text: impl ToString) -> io::Result<()> {
    put(&printable(&text.to_string()))
}

/// Asks on the terminal whether something is meant; where there is none, nobody can answer.
pub(super) fn is_meant(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Usage(format!("{question} Nobody is there to confirm it: say --yes")).into());
    }
    eprint!("{question} Type yes: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Whether it is a terminal that obeys: one can also be dumb.
fn is_obedient(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Whether colours may be used: on a terminal, unless somebody set `NO_COLOR`.
pub(super) fn has_colour(stream: &impl IsTerminal) -> bool {
    is_obedient(stream) && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn trimmed(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Not `println!`, which panics when the reader has gone.
fn put(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// The text without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let obeyed = |c: char| (c.is_control() && c != '\n') || turns(c);
    let harmless = |c: char| if obeyed(c) { '\u{fffd}' } else { c };
    text.replace('\t', "    ").chars().map(harmless).collect()
}

/// Whether it changes in which direction the text around it is shown: then what is read is not what is there.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\td\u{9b}"), "a\u{fffd}[2Jb\u{fffd}\nc    d\u{fffd}");
        assert_eq!(printable("moc.elpmaxe\u{202e}\u{2066} ä"), "moc.elpmaxe\u{fffd}\u{fffd} ä");
    }
}
