//! What is wrong with a command's arguments, for programs that asked for JSON: who parses them tells people.

/// Whether this process was asked for JSON, also where its arguments cannot be parsed.
pub fn ask_for_json() -> bool {
    std::env::args_os().any(|argument| argument == "--json")
}

/// What a parser of arguments says is wrong, in one line: without the word before it, the usage and the advice behind it.
pub fn in_one_line(said: &str) -> String {
    let first = said.split("\n\n").next().unwrap_or(said);
    let words: Vec<&str> = first.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_one_line_without_usage_and_advice() {
        let said = "error: the following required arguments were not provided:\n  --home <DIR>\n\nUsage: node status\n\nFor more";
        assert_eq!(in_one_line(said), "the following required arguments were not provided: --home <DIR>");
    }
}
