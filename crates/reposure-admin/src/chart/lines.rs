//! Texts that differ in some lines, as one template.

use std::ops::Range;

/// Returns `document`, or nothing where `condition` does not hold.
pub(super) fn only_if(condition: &str, document: &str) -> String {
    format!("{{{{- if {condition} }}}}\n{document}{{{{- end }}}}\n")
}

/// Returns the lines of `whole` that `part`, which is `whole` without some, does not have.
pub(super) fn missing<'a>(whole: &'a str, part: &'a str) -> impl Iterator<Item = Range<usize>> + use<'a> {
    differences(whole, part).into_iter().map(|(lines, _)| lines).filter(|lines| !lines.is_empty())
}

/// Returns `whole`, with a condition before each of `parts`, which do not overlap.
pub(super) fn guarded(whole: &str, parts: &[(Range<usize>, &str)]) -> String {
    let mut text = String::new();
    for (number, line) in whole.split_inclusive('\n').enumerate() {
        for (_, condition) in parts.iter().filter(|(part, _)| part.start == number) {
            text.extend(["{{- if ", condition, " }}\n"]);
        }
        text.push_str(line);
        for _ in parts.iter().filter(|(part, _)| part.end == number + 1) {
            text.push_str("{{- end }}\n");
        }
    }
    text
}

/// Returns `yes` where `condition` holds, and else `no`; what both have stands there once.
pub(super) fn choose(condition: &str, yes: &str, no: &str) -> String {
    let (yes_lines, no_lines): (Vec<_>, Vec<_>) =
        (yes.split_inclusive('\n').collect(), no.split_inclusive('\n').collect());
    let (mut text, mut done) = (String::new(), 0);
    for (of_yes, of_no) in differences(yes, no) {
        text.push_str(&yes_lines[done..of_yes.start].concat());
        done = of_yes.end;
        let (yes, no) = (yes_lines[of_yes].concat(), no_lines[of_no].concat());
        match (yes.is_empty(), no.is_empty()) {
            (_, true) => text.push_str(&only_if(condition, &yes)),
            (true, _) => text.push_str(&only_if(&format!("not {condition}"), &no)),
            _ => text.push_str(&only_if(condition, &format!("{yes}{{{{- else }}}}\n{no}"))),
        }
    }
    text.push_str(&yes_lines[done..].concat());
    text
}

/// Returns the lines of the one and of the other between those that a longest common sequence has.
fn differences(one: &str, other: &str) -> Vec<(Range<usize>, Range<usize>)> {
    let (one, other): (Vec<_>, Vec<_>) = (one.lines().collect(), other.lines().collect());
    // How many lines the rests from here have in common.
    let mut common = vec![vec![0_usize; other.len() + 1]; one.len() + 1];
    for (i, line) in one.iter().enumerate().rev() {
        for (j, line_of_other) in other.iter().enumerate().rev() {
            common[i][j] = if line == line_of_other {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut found, mut i, mut j) = (Vec::new(), 0, 0);
    while i < one.len() || j < other.len() {
        let (start_i, start_j) = (i, j);
        while (i < one.len() || j < other.len()) && (i == one.len() || j == other.len() || one[i] != other[j])
        {
            if j == other.len() || (i < one.len() && common[i + 1][j] >= common[i][j + 1]) {
                i += 1;
            } else {
                j += 1;
            }
        }
        if (i, j) != (start_i, start_j) {
            found.push((start_i..i, start_j..j));
        }
        while i < one.len() && j < other.len() && one[i] == other[j] {
            (i, j) = (i + 1, j + 1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_guarded() {
        let whole = "a\nb\nc\nd\ne\n";
        let parts: Vec<_> = missing(whole, "a\nc\nd\n").map(|part| (part, "x")).collect();
        assert_eq!(
            guarded(whole, &parts),
            "a\n{{- if x }}\nb\n{{- end }}\nc\nd\n{{- if x }}\ne\n{{- end }}\n"
        );
        assert_eq!(missing(whole, whole).count(), 0);
    }

    #[test]
    fn what_differs_is_chosen() {
        assert_eq!(
            choose("x", "a\nb\nc\n", "a\nz\nc\n"),
            "a\n{{- if x }}\nb\n{{- else }}\nz\n{{- end }}\nc\n"
        );
        assert_eq!(choose("x", "a\n", "a\nb\n"), "a\n{{- if not x }}\nb\n{{- end }}\n");
    }
}
