//! The command line.

use crate::cipher;

const USAGE: &str = "usage: atrium-floor [--size 120,1200] [--subscribers 1,10,100,1000] [--frame 1,8] [--seconds 2] \
                     [--cipher NAME] [--read] [--json]\n\
                     --size         bytes of the RTP packet, header included, before encryption\n\
                     --subscribers  who each packet is forwarded to\n\
                     --frame        packets of one burst to each subscriber\n\
                     --seconds      for each combination of the above\n\
                     --read         let another thread read what the subscribers get, as fast as it can";

/// What to measure, and how to print it.
#[derive(Debug, PartialEq)]
pub struct Arguments {
    pub sizes: Vec<usize>,
    pub subscribers: Vec<usize>,
    pub frames: Vec<usize>,
    pub seconds: f64,
    pub cipher: cipher::Kind,
    pub is_read: bool,
    pub is_json: bool,
}

impl Arguments {
    /// The arguments without the program's name; what is wrong with them as text.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut out = Self {
            sizes: vec![120, 1200],
            subscribers: vec![1, 10, 100, 1000],
            frames: vec![1, 8],
            seconds: 2.0,
            cipher: cipher::Kind::default(),
            is_read: false,
            is_json: false,
        };
        let mut rest = arguments.into_iter();
        while let Some(name) = rest.next() {
            let flag = match name.as_str() {
                "--json" => Some(&mut out.is_json),
                "--read" => Some(&mut out.is_read),
                _ => None,
            };
            if let Some(flag) = flag {
                *flag = true;
                continue;
            }
            let value = rest.next().ok_or(USAGE)?;
            match name.as_str() {
                "--size" => out.sizes = numbers(&value, 13..=1500)?,
                "--subscribers" => out.subscribers = numbers(&value, 1..=10_000)?,
                "--frame" => out.frames = numbers(&value, 1..=64)?,
                "--seconds" => out.seconds = value.parse().ok().filter(|each| *each > 0.0).ok_or(USAGE)?,
                "--cipher" => out.cipher = cipher::Kind::from_name(&value).ok_or(USAGE)?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(out)
    }
}

fn numbers(text: &str, allowed: std::ops::RangeInclusive<usize>) -> Result<Vec<usize>, String> {
    let one = |part: &str| part.trim().parse().ok().filter(|each| allowed.contains(each));
    text.split(',').map(one).collect::<Option<_>>().ok_or_else(|| USAGE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn lists_and_flags_are_read() {
        let arguments = parse("--size 1200 --subscribers 1,100 --frame 8 --seconds 0.5 --json --read").unwrap();
        assert_eq!((arguments.sizes, arguments.subscribers, arguments.frames), (vec![1200], vec![1, 100], vec![8]));
        assert_eq!((arguments.seconds, arguments.is_json, arguments.is_read), (0.5, true, true));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--size", "--size 5", "--frame 0", "--frame x", "--seconds 0", "--what 1", "--cipher rot13"] {
            assert!(parse(line).unwrap_err().starts_with("usage"), "{line}");
        }
    }
}
