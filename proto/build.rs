//! Compiles the `.proto` files without `protoc`, and embeds their descriptors for reflection and for the JSON mapping.

use std::{env, error::Error, fs, path::PathBuf};

const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut files: Vec<PathBuf> = fs::read_dir(PathBuf::from(ROOT).join("causeway/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();

    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let documented = compiler.file_descriptor_set();

    // What is embedded goes without comments: they are a third of its size, and nobody reads them there.
    let mut plain = protox::Compiler::new([ROOT])?;
    plain.include_imports(true).open_files(&files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("causeway.v1.bin"), plain.encode_file_descriptor_set())?;

    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names().btree_map(["."]).skip_debug([".causeway.v1.InitScript.Inline"]);
    tonic_prost_build::configure().compile_fds_with_config(documented, config)?;
    Ok(())
}
