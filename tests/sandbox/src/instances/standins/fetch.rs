//! curl and wget, as far as node scripts use them. They really fetch, through the relay.

use std::{fs, io::Write as _, time::Duration};

use super::wire::{Answer, Ask, Failure, ask};

/// What a command line asked for.
#[derive(Default)]
struct Order {
    urls: Vec<String>,
    output: Option<String>,
    named_by_url: bool,
    fail: bool,
    quiet: bool,
    show_errors: bool,
    with_head: bool,
    method: Option<String>,
    headers: Vec<String>,
    body: Vec<u8>,
    patience: Option<Duration>,
    format: Option<String>,
}

/// Options of curl that take a value and change nothing here.
const CURL_IGNORED_VALUES: &[&str] = &[
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "--connect-timeout",
    "--noproxy",
    "--cacert",
    "--user-agent",
    "-A",
    "--proxy",
    "-x",
    "--resolve",
    "--max-redirs",
    "--limit-rate",
];
/// Options of curl without a value that change nothing here.
const CURL_IGNORED: &[&str] = &[
    "--location",
    "--insecure",
    "--retry-connrefused",
    "--retry-all-errors",
    "--compressed",
    "--http1.1",
    "--http2",
    "--verbose",
    "--ipv4",
    "--tlsv1.2",
    "--no-progress-meter",
    "--progress-bar",
    "--create-dirs",
    "--globoff",
];

/// `curl`.
pub(super) fn curl(args: &[String]) -> i32 {
    let order = match curl_order(args) {
        Ok(order) => order,
        Err(option) => return super::fail(&format!("curl: option {option}: is unknown"), 2),
    };
    if order.urls.is_empty() {
        return super::fail("curl: (2) no URL specified", 2);
    }
    order.urls.iter().map(|url| curl_one(&order, url)).find(|code| *code != 0).unwrap_or(0)
}

fn curl_one(order: &Order, url: &str) -> i32 {
    let complain = |message: &str, code: i32| {
        if !order.quiet || order.show_errors {
            super::fail(&format!("curl: ({code}) {message}"), code)
        } else {
            code
        }
    };
    let answer = match send(order, url) {
        Ok(answer) => answer,
        Err(Failure::Unresolved) => {
            return complain(&format!("Could not resolve host: {}", host(url)), 6);
        }
        Err(Failure::BadUrl) => return complain("URL rejected", 3),
        Err(Failure::Broken(why)) => {
            return complain(&format!("Failed to connect to {}: {why}", host(url)), 7);
        }
    };
    if order.fail && answer.status >= 400 {
        return complain(&format!("The requested URL returned error: {}", answer.status), 22);
    }
    if let Err(error) = deliver(order, url, &answer) {
        return complain(&format!("client returned ERROR on write: {error}"), 23);
    }
    if let Some(format) = &order.format {
        print!(
            "{}",
            format.replace("%{http_code}", &answer.status.to_string()).replace("\\n", "\n")
        );
    }
    0
}

fn curl_order(args: &[String]) -> Result<Order, String> {
    let mut order = Order::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if !arg.starts_with('-') || arg == "-" {
            order.urls.push(arg.clone());
            continue;
        }
        if arg.starts_with("--") {
            let (name, joined) = arg
                .split_once('=')
                .map_or((arg.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
            long(&mut order, name, || joined.clone().or_else(|| rest.next().cloned()))?;
            continue;
        }
        let letters = &arg[1..];
        for (at, letter) in letters.char_indices() {
            let tail = &letters[at + letter.len_utf8()..];
            let takes_value = "oHXdmwAxu".contains(letter);
            let value =
                || if tail.is_empty() { rest.next().cloned() } else { Some(tail.to_owned()) };
            short(&mut order, letter, value)?;
            if takes_value {
                break;
            }
        }
    }
    Ok(order)
}

fn long(
    order: &mut Order,
    name: &str,
    value: impl FnOnce() -> Option<String>,
) -> Result<(), String> {
    let letter = match name {
        "--fail" | "--fail-with-body" => 'f',
        "--silent" => 's',
        "--show-error" => 'S',
        "--output" => 'o',
        "--remote-name" => 'O',
        "--include" => 'i',
        "--head" => 'I',
        "--header" => 'H',
        "--request" => 'X',
        "--data" | "--data-raw" => 'd',
        "--max-time" => 'm',
        "--write-out" => 'w',
        "--url" => {
            order.urls.push(value().ok_or(name)?);
            return Ok(());
        }
        ignored if CURL_IGNORED.contains(&ignored) => 'L',
        ignored if CURL_IGNORED_VALUES.contains(&ignored) => 'A',
        unknown => return Err(unknown.to_owned()),
    };
    short(order, letter, value)
}

fn short(
    order: &mut Order,
    letter: char,
    value: impl FnOnce() -> Option<String>,
) -> Result<(), String> {
    let needed =
        |value: Option<String>| value.ok_or_else(|| format!("-{letter}: requires parameter"));
    match letter {
        'f' => order.fail = true,
        's' => order.quiet = true,
        'S' => order.show_errors = true,
        'i' => order.with_head = true,
        'I' => (order.method, order.with_head) = (Some("HEAD".into()), true),
        'O' => order.named_by_url = true,
        'o' => order.output = Some(needed(value())?),
        'H' => order.headers.push(needed(value())?),
        'X' => order.method = Some(needed(value())?),
        'd' => order.body = needed(value())?.into_bytes(),
        'm' => order.patience = needed(value())?.parse().ok().map(Duration::from_secs),
        'w' => order.format = Some(needed(value())?),
        'A' | 'x' | 'u' => drop(needed(value())?),
        'L' | 'k' | 'v' | 'g' | '4' | '#' | 'N' => {}
        unknown => return Err(format!("-{unknown}")),
    }
    Ok(())
}

/// `wget`.
pub(super) fn wget(args: &[String]) -> i32 {
    let mut order = Order { named_by_url: true, ..Order::default() };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let (name, joined) = arg
            .split_once('=')
            .map_or((arg.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
        let mut value = || joined.clone().or_else(|| rest.next().cloned());
        match name {
            "-O" | "--output-document" => order.output = value(),
            "--header" => order.headers.extend(value()),
            "-T" | "--timeout" => {
                order.patience =
                    value().and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs)
            }
            "-t" | "--tries" | "--waitretry" | "--connect-timeout" | "--read-timeout" => {
                drop(value())
            }
            "-q" | "--quiet" | "-nv" | "--no-verbose" => order.quiet = true,
            "-qO-" => (order.quiet, order.output) = (true, Some("-".into())),
            "-qO" => (order.quiet, order.output) = (true, value()),
            "--no-check-certificate"
            | "--retry-connrefused"
            | "-c"
            | "-N"
            | "-4"
            | "--no-cache" => {}
            unknown if unknown.starts_with('-') => {
                return super::fail(&format!("wget: unrecognized option '{unknown}'"), 2);
            }
            _ => order.urls.push(arg.clone()),
        }
    }
    if order.urls.is_empty() {
        return super::fail("wget: missing URL", 1);
    }
    order.urls.iter().map(|url| wget_one(&order, url)).find(|code| *code != 0).unwrap_or(0)
}

fn wget_one(order: &Order, url: &str) -> i32 {
    let complain =
        |message: &str, code: i32| if order.quiet { code } else { super::fail(message, code) };
    match send(order, url) {
        Ok(answer) if answer.status >= 400 => complain(&format!("ERROR {}", answer.status), 8),
        Ok(answer) => match deliver(order, url, &answer) {
            Ok(()) => 0,
            Err(error) => complain(&error.to_string(), 3),
        },
        Err(Failure::Unresolved) => {
            complain(&format!("wget: unable to resolve host address '{}'", host(url)), 4)
        }
        Err(Failure::BadUrl) => complain(&format!("{url}: Invalid URL"), 1),
        Err(Failure::Broken(why)) => {
            complain(&format!("Connecting to {}... failed: {why}", host(url)), 4)
        }
    }
}

fn send(order: &Order, url: &str) -> Result<Answer, Failure> {
    let implied = if order.body.is_empty() { "GET" } else { "POST" };
    ask(&Ask {
        method: order.method.as_deref().unwrap_or(implied),
        url,
        headers: &order.headers,
        body: &order.body,
        patience: order.patience.unwrap_or(Duration::from_secs(20)),
    })
}

fn deliver(order: &Order, url: &str, answer: &Answer) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    if order.with_head {
        bytes.extend_from_slice(answer.head.as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
    }
    bytes.extend_from_slice(&answer.body);
    let last = || {
        url.split(['?', '#'])
            .next()
            .and_then(|path| path.rsplit('/').next())
            .filter(|name| !name.is_empty())
            .unwrap_or("index.html")
    };
    match order.output.as_deref().or_else(|| order.named_by_url.then(last)) {
        None | Some("-") => std::io::stdout().lock().write_all(&bytes),
        Some(path) => fs::write(path, bytes),
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    rest.split(['/', ':', '?']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::curl_order;

    #[test]
    fn bundled_curl_options_are_understood() {
        let args: Vec<String> = ["-fsSLo", "/tmp/x", "--retry", "5", "-H", "A: b", "https://h/y"]
            .iter()
            .map(ToString::to_string)
            .collect();
        let order = curl_order(&args).unwrap_or_else(|option| panic!("{option} is unknown"));
        assert!(order.fail && order.quiet && order.show_errors);
        assert_eq!(
            (order.output.as_deref(), order.urls.len(), order.headers.len()),
            (Some("/tmp/x"), 1, 1)
        );
    }

    #[test]
    fn an_unknown_curl_option_is_an_error() {
        assert!(curl_order(&["--nonsense".to_owned()]).is_err());
    }
}
