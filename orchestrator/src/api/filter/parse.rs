//! The grammar of filters, and errors that say where. As in AIP-160 `OR` binds tighter than `AND`, terms that only stand side by
//! side are joined by `AND`, and `-` before a term is `NOT`. What the fields mean is not its business.
//!
//! ```text
//! filter = factor { [ "AND" ] factor }        factor = term { "OR" term }        term = [ "NOT" | "-" ] simple
//! simple = "(" filter ")" | FIELD OPERATOR VALUE
//! ```

use causeway_proto::limits::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX};

use super::{FIELDS, Field, Node, Operator, Term, Value, field, meant, value};

/// Longer ones first: `<=` is no `<`.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    (":", Operator::Has),
];
/// What joins or turns terms; capitals tell them from fields.
const WORDS: [&str; 3] = ["AND", "OR", "NOT"];
const LABEL: &str = "labels.";
/// What of a text an error repeats, in characters.
const SHOWN_MAX: usize = 40;

/// Understands a filter.
pub(super) fn filter(text: &str) -> Result<Node, String> {
    if text.len() > FILTER_BYTES_MAX {
        let length = text.len();
        return Err(format!("has {length} bytes; at most {FILTER_BYTES_MAX} are allowed"));
    }
    let mut parser = Parser { text, at: 0, terms: 0, depth: 0 };
    let node = parser.filter()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.expected("AND, OR or the end of the filter")),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// Where the rest begins, in bytes.
    at: usize,
    terms: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn filter(&mut self) -> Result<Node, String> {
        let mut all = Vec::new();
        // A filter without any term lets everything through; parentheses without any do not.
        if self.peek().is_some() || self.depth > 0 {
            all.push(self.factor()?);
        }
        while self.peek().is_some_and(|next| next != ')') {
            self.word("AND");
            all.push(self.factor()?);
        }
        Ok(one_of(all, Node::All))
    }

    fn factor(&mut self) -> Result<Node, String> {
        let mut any = vec![self.term()?];
        while self.word("OR") {
            any.push(self.term()?);
        }
        Ok(one_of(any, Node::Any))
    }

    fn term(&mut self) -> Result<Node, String> {
        if self.word("NOT") || self.sign('-') {
            return Ok(Node::Not(Box::new(self.simple()?)));
        }
        self.simple()
    }

    fn simple(&mut self) -> Result<Node, String> {
        if !self.sign('(') {
            return self.restriction().map(Node::Term);
        }
        self.depth += 1;
        if self.depth > FILTER_DEPTH_MAX {
            return Err(self.wrong(&format!("more than {FILTER_DEPTH_MAX} parentheses are open")));
        }
        let inner = self.filter()?;
        self.depth -= 1;
        if self.sign(')') { Ok(inner) } else { Err(self.expected("AND, OR or )")) }
    }

    fn restriction(&mut self) -> Result<Term, String> {
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return Err(self.wrong(&format!("there are more than {FILTER_TERMS_MAX} terms")));
        }
        let (start, field) = (self.start(), self.field()?);
        let operator = self.operator(&field)?;
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual | Operator::Has);
        if ordered && !matches!(field, Field::Time(_)) {
            return Err(wrong_at(
                self.text,
                start,
                "only times are before or after one another; use =, != or :",
            ));
        }
        let start = self.start();
        let (quoted, text) = self.value()?;
        if let (Field::Labels, Operator::Has) = (&field, operator) {
            let value = Value::Text(text);
            return Ok(Term { field, operator, value });
        }
        if !quoted && text == "*" && operator == Operator::Has {
            return Ok(Term { field, operator, value: Value::Set });
        }
        if !quoted && text.contains('*') {
            let message = "* stands for any value only alone and after a colon, as in end_time:*; put the value in quotes if the star is part of it";
            return Err(wrong_at(self.text, start, message));
        }
        let value = value(&field, &text)
            .map_err(|why| wrong_at(self.text, start, &format!("{:?} {why}", shown(&text))))?;
        Ok(Term { field, operator, value })
    }

    fn field(&mut self) -> Result<Field, String> {
        let start = self.start();
        let mut name = self.bare(|letter| is_operator(letter) || matches!(letter, '"' | '\''));
        if name == LABEL && self.peek().is_some_and(|next| matches!(next, '"' | '\'')) {
            name.push_str(&self.value()?.1);
        }
        if name.is_empty() {
            return Err(self.expected("a field"));
        }
        if let Some(key) = name.strip_prefix(LABEL).filter(|key| !key.is_empty()) {
            return Ok(Field::Label(key.to_owned()));
        }
        field(&name).ok_or_else(|| {
            let upper = name.to_ascii_uppercase();
            if WORDS.contains(&upper.as_str()) {
                let message =
                    format!("expected a field; write {upper} in capitals, and between terms");
                return wrong_at(self.text, start, &message);
            }
            let (near, known) = (meant(&name, &FIELDS), FIELDS.join(", "));
            let name = shown(&name);
            wrong_at(self.text, start, &format!("there is no field {name:?}{near}; known: {known}"))
        })
    }

    fn operator(&mut self, field: &Field) -> Result<Operator, String> {
        self.start();
        let rest = &self.text[self.at..];
        let found = OPERATORS.iter().find(|(symbol, _)| rest.starts_with(symbol));
        let Some((symbol, operator)) = found else {
            return Err(self.expected("an operator (=, !=, <, <=, >, >= or :) and a value"));
        };
        if *field == Field::Labels && *operator != Operator::Has {
            return Err(
                self.expected("a colon and the key of a label; a label's value is labels.KEY")
            );
        }
        self.at += symbol.len();
        Ok(*operator)
    }

    /// A value, and whether it was in quotes.
    fn value(&mut self) -> Result<(bool, String), String> {
        let start = self.start();
        let Some(quote) = self.peek().filter(|next| matches!(next, '"' | '\'')) else {
            let text = self.bare(|_| false);
            return if text.is_empty() { Err(self.expected("a value")) } else { Ok((false, text)) };
        };
        let mut text = String::new();
        let mut letters = self.text[start + 1..].char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => text.extend(letters.next().map(|(_, escaped)| escaped)),
                _ if letter == quote => {
                    self.at = start + 1 + at + 1;
                    return Ok((true, text));
                }
                _ => text.push(letter),
            }
        }
        Err(wrong_at(self.text, start, "this quote is not closed"))
    }

    /// Everything up to a blank, a parenthesis or an end of its own.
    fn bare(&mut self, ends: impl Fn(char) -> bool) -> String {
        let start = self.start();
        let rest = &self.text[start..];
        let end =
            |letter: char| letter.is_whitespace() || matches!(letter, '(' | ')') || ends(letter);
        let length = rest.find(end).unwrap_or(rest.len());
        self.at = start + length;
        rest[..length].to_owned()
    }

    /// Takes a word, where it is the next one.
    fn word(&mut self, word: &str) -> bool {
        self.start();
        let rest = self.text[self.at..].strip_prefix(word);
        let whole = |rest: &str| {
            rest.chars().next().is_none_or(|next| next.is_whitespace() || matches!(next, '(' | ')'))
        };
        let found = rest.is_some_and(whole);
        if found {
            self.at += word.len();
        }
        found
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(sign);
        if found {
            self.at += sign.len_utf8();
        }
        found
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        self.start();
        self.text[self.at..].chars().next()
    }

    /// Goes to the next character that is no blank.
    fn start(&mut self) -> usize {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.at
    }

    fn expected(&mut self, what: &str) -> String {
        self.start();
        let rest = &self.text[self.at..];
        let found = match rest.split_whitespace().next() {
            Some(word) => format!("{:?}", shown(word)),
            None => "the end".to_owned(),
        };
        self.wrong(&format!("expected {what}, found {found}"))
    }

    fn wrong(&self, message: &str) -> String {
        wrong_at(self.text, self.at, message)
    }
}

/// Says where, as people count.
fn wrong_at(text: &str, at: usize, message: &str) -> String {
    format!("at character {}: {message}", text[..at].chars().count() + 1)
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn is_operator(letter: char) -> bool {
    OPERATORS.iter().any(|(symbol, _)| symbol.starts_with(letter))
}

fn one_of(mut nodes: Vec<Node>, several: fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => several(nodes),
    }
}
