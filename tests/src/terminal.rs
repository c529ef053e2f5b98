//! A terminal with a program in it, as a person has it: what stands on it is read, and answers are typed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long a program may take to say something.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program in a terminal; dropped, it is killed.
pub struct Terminal {
    hand: File,
    child: Child,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs the program in a terminal of that many lines and columns.
    #[must_use]
    pub fn run(mut command: Command, (rows, columns): (u16, u16)) -> Self {
        let hand = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&hand).unwrap();
        unlockpt(&hand).unwrap();
        let name = ptsname(&hand, Vec::new()).unwrap();
        let name = name.to_str().unwrap();
        let side =
            || -> OwnedFd { File::options().read(true).write(true).open(name).unwrap().into() };
        command.stdin(side()).stdout(side()).stderr(side()).env("TERM", "xterm");
        let child = command.spawn().unwrap();
        // It holds the other side, too, as long as it is there.
        drop(command);
        let hand = File::from(hand);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut reads, into) = (hand.try_clone().unwrap(), Arc::clone(&written));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // It ends with an error once the other side is closed.
            while let Ok(read @ 1..) = reads.read(&mut piece) {
                into.lock().unwrap().extend_from_slice(&piece[..read]);
            }
        });
        let terminal = Self { hand, child, written };
        terminal.resize((rows, columns));
        terminal
    }

    /// Gives the terminal another size.
    pub fn resize(&self, (rows, columns): (u16, u16)) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.hand, size).unwrap();
    }

    /// What was written last, for the message of a test that fails.
    fn tail(&self) -> String {
        let written = self.written();
        let begin = written.char_indices().rev().nth(1500).map_or(0, |(begin, _)| begin);
        written[begin..].to_owned()
    }

    /// All that was written to it, with the signs that move its cursor.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until something was written.
    ///
    /// # Panics
    /// Where it does not come.
    pub fn until(&self, words: &str) {
        let begun = Instant::now();
        while !self.written().contains(words) {
            assert!(begun.elapsed() < PATIENCE, "{words:?} does not come: {}", self.tail());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.hand.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for the program's end; its code, and all that was written.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn ends(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() > PATIENCE => panic!("it does not end: {}", self.tail()),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        // What it wrote last may still be on its way.
        let mut before = usize::MAX;
        while std::mem::replace(&mut before, self.written().len()) != before {
            std::thread::sleep(Duration::from_millis(30));
        }
        (status.code(), self.written())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended long ago.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
