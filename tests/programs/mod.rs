//! Runs the examples as the programs they are.

use std::{
    env,
    ffi::OsStr,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The program of an example, built for the same profile as this test.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.is_file(), "{} is not there: build it with cargo build --examples first", path.display());
    path
}

/// What a program left behind.
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) out: String,
    /// What it complained of.
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// The same, if the program went well.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// The number behind a word at the start of a line, as the summary of an import has it.
    #[track_caller]
    pub(crate) fn count(&self, word: &str) -> u64 {
        let rest = self.out.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("{}", self.out));
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// Runs an example to its end.
pub(crate) fn run<A: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = A>) -> Ran {
    Command::new(program(name)).args(args).output().unwrap().into()
}

/// Begins an import of a pipe that is called `name`, lets it read these bytes but not the end, and kills it.
pub(crate) fn kill_import_amid(folder: &Path, name: &str, bytes: &[u8], args: &[&str]) {
    let pipe = folder.join("pipe").join(name);
    std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut import = Command::new(program("import"));
    import.arg(folder.join("store")).arg(&pipe).args(args).stderr(Stdio::null());
    let mut import = import.spawn().unwrap();
    // A pipe holds 64 KiB and the import reads as much ahead, so all bytes but the last 128 KiB were worked on.
    OpenOptions::new().write(true).open(&pipe).unwrap().write_all(bytes).unwrap();
    import.kill().unwrap(); // SIGKILL
    assert_eq!(import.wait().unwrap().code(), None, "it ended by itself before it was killed");
}

/// Asks a store by the `query` example; the plan is on the standard input.
pub(crate) fn ask(store: &Path, plan: &str, options: &[&str]) -> Ran {
    let mut query = Command::new(program("query"));
    query.arg(store).arg("-").args(options);
    let mut query = query.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    query.stdin.take().unwrap().write_all(plan.as_bytes()).unwrap();
    query.wait_with_output().unwrap().into()
}

/// The customers of each step of a funnel of touchpoints.
#[track_caller]
pub(crate) fn funnel(store: &Path, steps: &[&str], window: Option<&str>, options: &[&str]) -> Vec<u64> {
    let steps: Vec<_> = steps.iter().map(|step| serde_json::json!({ "touchpoint": step })).collect();
    let mut plan = serde_json::json!({ "funnel": { "steps": steps } });
    if let Some(window) = window {
        plan["funnel"]["window"] = window.into();
    }
    let ran = ask(store, &plan.to_string(), &[&["--json"], options].concat()).well();
    let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let steps = answer["report"]["funnel"]["steps"].as_array().unwrap();
    steps.iter().map(|step| step["customers"].as_u64().unwrap()).collect()
}
