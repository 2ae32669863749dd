//! Words of reviews, and their ranks.

use super::python2::dict_order;
use firmware::text::is_separator;
use std::cmp::Reverse;
use std::collections::HashMap;

/// The words of `lower`, a text in ASCII lower case, as the device finds them.
pub fn words(lower: &str) -> impl Iterator<Item = &str> {
    // Separators are ASCII, which no byte of another character is.
    lower.split(|c: char| u8::try_from(c).is_ok_and(is_separator)).filter(|word| !word.is_empty())
}

/// All words of `texts`, the most frequent first; those that are equally frequent stand as in a dictionary of Python 2
/// that met them in the order of the texts. For the training reviews these are Keras' ranks 1 to 88,584, exactly.
pub fn ranking<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut numbers = HashMap::new();
    let mut counts: Vec<u64> = Vec::new();
    for text in texts {
        for word in words(&text.to_ascii_lowercase()) {
            let number = numbers.get(word).copied().unwrap_or_else(|| {
                numbers.insert(word.to_owned(), counts.len());
                counts.push(0);
                counts.len() - 1
            });
            counts[number] += 1;
        }
    }
    let mut met = vec![String::new(); counts.len()];
    numbers.into_iter().for_each(|(word, number)| met[number] = word);
    let mut order = dict_order(&met.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    order.sort_by_key(|&number| Reverse(counts[number]));
    order.into_iter().map(|number| std::mem::take(&mut met[number])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_apostrophes_and_what_is_not_ascii() {
        let text = "It's <br />1/2-baked,\tCAFÉ\u{85}_x_\n(\u{2019}tis)".to_ascii_lowercase();
        let found: Vec<&str> = words(&text).collect();
        assert_eq!(found, ["it's", "br", "1", "2", "baked", "cafÉ\u{85}", "x", "\u{2019}tis"]);
        assert_eq!(words(" \t.!?").count(), 0);
    }

    #[test]
    fn frequent_words_come_first() {
        let texts = ["The end.", "the END of the", "'"];
        assert_eq!(ranking(texts.into_iter())[..2], ["the", "end"]);
        assert_eq!(ranking(texts.into_iter()).len(), 4);
        assert!(ranking(std::iter::empty()).is_empty());
    }
}
