//! Reading a recipe file, and finding it.

use super::Recipe;
use super::fault::{find_key, line_and_column, locate};
use crate::artifacts::Artifacts;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

const FILE: &str = "recipe.toml";

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// A file that cannot be read; `file:line:column: what is wrong and what was expected` for a mistake in it.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the recipe {}", path.display()))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and checks the text of a recipe; `file` names it in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let place = |offset| {
            let (line, column) = line_and_column(text, offset);
            format!("{file}:{line}:{column}")
        };
        let recipe: Self = match toml::from_str(text) {
            Ok(recipe) => recipe,
            Err(error) => {
                let message = error.message().replace('\n', ", ");
                bail!("{}: {message}", place(offset(text, &error)));
            }
        };
        if let Err(fault) = recipe.check() {
            bail!("{}: {fault}", place(locate(text, &fault.way).unwrap_or(0)));
        }
        Ok(recipe)
    }
}

/// Where a parse error stands: at the unknown key itself where it can be found.
fn offset(text: &str, error: &toml::de::Error) -> usize {
    let range = error.span().unwrap_or(0..0);
    let unknown = error.message().strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    unknown.and_then(|key| find_key(text, range.clone(), key)).unwrap_or(range.start)
}

/// A recipe and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub recipe: Recipe,
    /// The model's folder, which holds `recipe.toml` and the artifacts.
    pub dir: PathBuf,
}

impl Found {
    /// The model's files.
    pub fn artifacts(&self) -> Artifacts {
        Artifacts::new(&self.dir, &self.recipe.name)
    }

    /// The folder that holds `models/`, and where `runs/` goes; for a recipe elsewhere, the recipe's own folder.
    pub fn root(&self) -> &Path {
        let models = self.dir.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "models"));
        models.and_then(Path::parent).unwrap_or(&self.dir)
    }
}

/// Finds and loads a model's recipe: `model` is a name, looked up as `models/<name>/recipe.toml` from the current
/// directory upwards, or the path of a recipe or of its folder.
///
/// # Errors
/// No such model: the sentence lists the known ones. Those of [`Recipe::load`].
pub fn find(model: &str) -> Result<Found> {
    let here = std::env::current_dir().context("the current directory is gone")?;
    find_from(&here, model)
}

pub(super) fn find_from(here: &Path, model: &str) -> Result<Found> {
    let named =
        || here.ancestors().map(|folder| folder.join("models").join(model).join(FILE)).find(|path| path.is_file());
    let path = here.join(model);
    let file = if path.is_file() && path.extension().is_some_and(|kind| kind == "toml") {
        path
    } else if path.join(FILE).is_file() {
        path.join(FILE)
    } else if let Some(file) = is_name(model).then(named).flatten() {
        file
    } else {
        let known = known(here);
        if known.is_empty() {
            bail!("there is no model `{model}`, nor any folder `models/` from {} upwards", here.display());
        }
        bail!("there is no model `{model}`: known are {}; or give the path of a {FILE}", known.join(", "));
    };
    let recipe = Recipe::load(&file)?;
    // `file` ends in a file name, so it has a parent.
    let found = Found { dir: file.parent().unwrap_or(here).to_owned(), recipe };
    let folder = found.dir.file_name().unwrap_or_default();
    if found.root() != found.dir && folder != found.recipe.name.as_str() {
        let (name, folder) = (&found.recipe.name, folder.display());
        bail!("{}: name is `{name}`, expected `{folder}` like the folder under models/", file.display());
    }
    Ok(found)
}

/// Names of the models in the nearest `models/`, sorted.
fn known(here: &Path) -> Vec<String> {
    let Some(models) = here.ancestors().map(|folder| folder.join("models")).find(|folder| folder.is_dir()) else {
        return Vec::new();
    };
    let folders = std::fs::read_dir(models).into_iter().flatten().filter_map(Result::ok);
    let with_recipe = folders.filter(|folder| folder.path().join(FILE).is_file());
    let mut names: Vec<_> = with_recipe.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Whether `name` can name a folder everywhere: ASCII letters, digits, `-`, `_` and `.`, not starting with `.` or `-`.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.bytes().all(allowed) && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
}
