//! Where words end, and the hash of one.
//!
//! The tokeniser is that of Keras' IMDB data: ASCII letters count as lower case, blank, tab, line feed and ASCII
//! punctuation without the apostrophe stand between words, and every other byte belongs to one. It looks at bytes alone,
//! so that any bytes are a text, whatever their encoding.

/// Whether `byte` stands between words: a blank, tab, line feed or one of ``!"#$%&()*+,-./:;<=>?@[\]^_`{|}~``.
pub const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b' '..=b'&' | b'('..=b'/' | b':'..=b'@' | b'['..=b'`' | b'{'..=b'~')
}

/// The words of a text as they stand in it. A vocabulary has them in lower case: `text.to_ascii_lowercase()` first.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| is_separator(*byte)).filter(|word| !word.is_empty())
}

/// The hash of a word, fed byte by byte: FNV-1a in 32 bits, started with a seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct WordHash {
    seed: u32,
    state: u32,
    is_empty: bool,
}

impl WordHash {
    /// No word yet.
    pub const fn new(seed: u32) -> Self {
        Self { seed, state: 0x811c_9dc5 ^ seed, is_empty: true }
    }

    /// Takes the next byte of a text; gives a word's hash where it ends one.
    #[inline]
    pub fn push(&mut self, byte: u8) -> Option<u32> {
        if is_separator(byte) {
            return self.finish();
        }
        self.state = (self.state ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
        self.is_empty = false;
        None
    }

    /// Ends a pending word and gives its hash.
    pub fn finish(&mut self) -> Option<u32> {
        let ended = core::mem::replace(self, Self::new(self.seed));
        (!ended.is_empty).then(|| mix(ended.state))
    }
}

/// Every bit of `x` in every bit of the answer; no two inputs have one answer (the end of MurmurHash3).
pub(super) const fn mix(x: u32) -> u32 {
    let x = (x ^ x >> 16).wrapping_mul(0x85eb_ca6b);
    let x = (x ^ x >> 13).wrapping_mul(0xc2b2_ae35);
    x ^ x >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_those_of_keras() {
        let listed = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n ";
        for byte in 0..=255 {
            assert_eq!(is_separator(byte), listed.contains(&byte), "byte {byte}");
        }
    }

    #[test]
    fn words_keep_what_keras_keeps() {
        let text = "It's  a caf\u{e9},\r\nisn't\u{85}it?\u{1f600} <br />".as_bytes();
        let expected = ["It's", "a", "caf\u{e9}", "\r", "isn't\u{85}it", "\u{1f600}", "br"];
        assert!(words(text).eq(expected.map(str::as_bytes)));
        assert_eq!(words(b" \t\n..").count(), 0);
    }

    #[test]
    fn the_hash_of_a_word_does_not_depend_on_its_place_or_case() {
        let hashes = |text: &str| {
            let mut word = WordHash::new(7);
            let mut hashes: Vec<_> = text.bytes().filter_map(|byte| word.push(byte)).collect();
            hashes.extend(word.finish());
            hashes
        };
        let [a, film] = [hashes("a")[0], hashes("film")[0]];
        assert_eq!(hashes("-A  FILM. a,film"), [a, film, a, film]);
        assert_ne!(a, film);
        assert_eq!(hashes(""), []);
    }
}
