//! From text to the tokens of a model, and on to its answer: byte by byte, in memory that does not grow.
//!
//! ```text
//! bytes ──tokens──▶ hash of each word ──vocabulary──▶ token ──reader──▶ one step of the model
//! ```
//!
//! | module | knows |
//! |---|---|
//! | `tokens` | which bytes end a word, and the hash of one |
//! | `vocabulary` | from hash to token: a minimal perfect hash with fingerprints |
//! | `build` | the search for such a hash (feature `std`) |
//! | `reader` | the text so far, beside the interpreter that runs the model |

#[cfg(feature = "std")]
mod build;
mod reader;
mod tokens;
mod vocabulary;

#[cfg(feature = "std")]
pub use build::{BuildError, Built, VocabularySpec};
pub use reader::Reader;
pub use tokens::{is_separator, words};
pub use vocabulary::Vocabulary;
