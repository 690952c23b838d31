//! Compound commands: groups, subshells, conditionals, loops, `case`, `[[ … ]]`, functions.
//!
//! `select` and `coproc` are not handled, nor loops with braces for `do … done`.

use super::Left;
use super::parse::Parser;

impl<'a> Parser<'a> {
    /// Reads a compound command, if one begins here.
    pub(super) fn compound_command(&mut self) -> Result<bool, Left> {
        if self.eat(b"((") {
            self.arithmetic()?;
            return Ok(true);
        }
        if self.eat(b"(") {
            self.nested(|p| {
                p.list()?;
                p.expect(b")")
            })?;
            return Ok(true);
        }
        // Most commands end the question with their first letter.
        let raw = match self.peek() {
            Some(b'{' | b'i' | b'w' | b'u' | b'f' | b'c' | b'[') => self.raw(),
            _ => return Ok(false),
        };
        type Reader<'a> = fn(&mut Parser<'a>) -> Result<(), Left>;
        let inner: Reader<'a> = match raw {
            b"{" => Self::group,
            b"if" => Self::conditional,
            b"while" | b"until" => Self::looped,
            b"for" => Self::counted,
            b"case" => Self::cases,
            b"[[" => Self::test,
            b"function" => Self::definition,
            _ => return Ok(false),
        };
        self.bump(raw.len());
        self.nested(inner)?;
        Ok(true)
    }

    /// Steps over a reserved word that must stand here.
    fn must(&mut self, name: &[u8]) -> Result<(), Left> {
        if self.reserved(name) {
            Ok(())
        } else {
            self.odd()
        }
    }

    fn group(&mut self) -> Result<(), Left> {
        self.list()?;
        self.must(b"}")
    }

    fn conditional(&mut self) -> Result<(), Left> {
        loop {
            self.list()?;
            self.must(b"then")?;
            self.list()?;
            if !self.reserved(b"elif") {
                break;
            }
        }
        if self.reserved(b"else") {
            self.list()?;
        }
        self.must(b"fi")
    }

    fn looped(&mut self) -> Result<(), Left> {
        self.list()?;
        self.must(b"do")?;
        self.list()?;
        self.must(b"done")
    }

    fn counted(&mut self) -> Result<(), Left> {
        self.blanks();
        if self.eat(b"((") {
            self.for_arithmetic()?;
        } else {
            let name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
            let raw = self.raw();
            if raw.is_empty()
                || !raw.iter().all(name)
                || raw.first().is_some_and(u8::is_ascii_digit)
            {
                return self.odd();
            }
            self.bump(raw.len());
            self.for_words()?;
        }
        self.lines();
        self.must(b"do")?;
        self.list()?;
        self.must(b"done")
    }

    /// `[in word …]` and what ends it.
    fn for_words(&mut self) -> Result<(), Left> {
        self.lines();
        if !self.reserved(b"in") {
            let _ = self.eat(b";");
            return Ok(());
        }
        loop {
            self.blanks();
            if self.eat(b";") || self.eat(b"\n") {
                return Ok(());
            }
            self.word()?;
        }
    }

    /// The inside of `for ((` up to `))`: three expressions, nothing quoted.
    fn for_arithmetic(&mut self) -> Result<(), Left> {
        let rest = self.rest();
        let end = rest.windows(2).position(|w| w == b"))");
        let plain = |b: &u8| !matches!(b, b'\'' | b'"' | b'\\' | b'`' | b'$' | b'(' | b'{' | b'\n');
        match end.and_then(|end| rest.get(..end)) {
            Some(inside) if inside.iter().all(plain) => {
                self.bump(inside.len().saturating_add(2));
                self.blanks();
                let _ = self.eat(b";");
                Ok(())
            }
            _ => self.odd(),
        }
    }

    fn cases(&mut self) -> Result<(), Left> {
        self.blanks();
        self.word()?;
        self.lines();
        self.must(b"in")?;
        loop {
            self.lines();
            if self.reserved(b"esac") {
                return Ok(());
            }
            self.patterns()?;
            self.lines();
            if !(self.rest().starts_with(b";;")
                || self.rest().starts_with(b";&")
                || self.raw() == b"esac")
            {
                self.list()?;
            }
            self.lines();
            if !(self.eat(b";;&") || self.eat(b";;") || self.eat(b";&")) {
                return self.must(b"esac");
            }
        }
    }

    fn patterns(&mut self) -> Result<(), Left> {
        let _ = self.eat(b"(");
        loop {
            self.blanks();
            self.word()?;
            self.blanks();
            if self.eat(b")") {
                return Ok(());
            }
            self.expect(b"|")?;
        }
    }

    /// `[[ … ]]`: words and operators; the grammar within does not matter, only where it ends.
    fn test(&mut self) -> Result<(), Left> {
        let mut words = 0u32;
        loop {
            self.blanks();
            match self.peek() {
                None | Some(b'\n' | b';') => return self.odd(),
                Some(b'(' | b')' | b'|' | b'&' | b'<' | b'>') => self.bump(1),
                Some(_) if self.raw() == b"]]" && words > 0 => {
                    self.bump(2);
                    return Ok(());
                }
                Some(_) => {
                    self.word()?;
                    words = words.saturating_add(1);
                }
            }
        }
    }

    /// `function name [()] body`.
    fn definition(&mut self) -> Result<(), Left> {
        self.blanks();
        let name = self.raw();
        if !self.word()?.is_plain() {
            return self.odd();
        }
        self.blanks();
        if self.eat(b"(") {
            self.blanks();
            self.expect(b")")?;
        }
        self.body(name)
    }

    /// A function's body: what stands in it is not run here.
    pub(super) fn body(&mut self, name: &'a [u8]) -> Result<(), Left> {
        self.functions.push(name);
        self.lines();
        let inert = std::mem::replace(&mut self.inert, true);
        let read = self.nested(Self::compound_command);
        self.inert = inert;
        if read? { Ok(()) } else { self.odd() }
    }
}
