//! Compiles the contract with protox (no protoc to install) and writes the descriptor sets that
//! reflection, policy, transcoding and OpenAPI read.
#![expect(clippy::disallowed_methods, reason = "cargo speaks to a build script through variables")]

use std::{env, error::Error, fs, path::Path, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    compile(
        &["proto", "proto/third_party"],
        &protos("proto/switchboard")?,
        &out.join("descriptors.bin"),
        "",
        &[".google.api", ".buf.validate"],
    )?;
    fixture(&out)?;
    for name in ["trial", "broken"] {
        println!("cargo::rerun-if-changed=tests/data/access/{name}.proto");
        let includes = ["tests/data/access", "proto", "proto/third_party"];
        describe(&includes, &[format!("{name}.proto")], &out.join(format!("{name}.bin")))?;
    }
    Ok(())
}

/// The services of the transcoding cases, for the tests and the example that serve them.
fn fixture(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=tests/data/transcoding");
    let includes = ["tests/data/transcoding", "proto/third_party"];
    let files = ["widgets.proto", "gadgets.proto"].map(str::to_owned);
    compile(&includes, &files, &out.join("widgets.bin"), "widgets", &[".buf.validate"])
}

/// Every .proto file below `folder`, relative to the include root.
fn protos(folder: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        println!("cargo::rerun-if-changed={}", folder.display());
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "proto") {
                found.push(path.strip_prefix("proto")?.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Writes the descriptors, with comments and custom options.
fn describe(includes: &[&str], files: &[String], set: &Path) -> Result<protox::Compiler, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(includes)?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    // prost drops custom options from its own FileDescriptorSet: the encoded bytes keep them.
    fs::write(set, compiler.encode_file_descriptor_set())?;
    Ok(compiler)
}

/// Writes the descriptors to `set` and Rust code to `OUT_DIR/<folder>`. Packages that only `options` use
/// are read as descriptors, never as Rust types.
fn compile(
    includes: &[&str],
    files: &[String],
    set: &Path,
    folder: &str,
    options: &[&str],
) -> Result<(), Box<dyn Error>> {
    let compiler = describe(includes, files, set)?;
    let code = PathBuf::from(env::var("OUT_DIR")?).join(folder);
    fs::create_dir_all(&code)?;
    let mut builder = tonic_prost_build::configure().out_dir(code).include_file("contract.rs");
    for package in options {
        builder = builder.extern_path(*package, "::prost_types");
    }
    builder.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
