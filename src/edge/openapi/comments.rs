//! Comments of a descriptor set, by what they describe.

use std::collections::HashMap;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

/// Leading comments (or trailing ones, where there is no leading one), by file and path.
pub(super) struct Comments {
    by_file: HashMap<String, HashMap<Vec<i32>, String>>,
}

impl Comments {
    pub(super) fn new(pool: &DescriptorPool) -> Self {
        let by_file = pool.files().map(|file| {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            let locations = info.map(|info| info.location.as_slice()).unwrap_or_default();
            let comments = locations.iter().filter_map(|location| {
                let text = location.leading_comments.as_deref().or(location.trailing_comments.as_deref())?;
                Some((location.path.clone(), clean(text)))
            });
            (file.name().to_owned(), comments.collect())
        });
        Self { by_file: by_file.collect() }
    }

    pub(super) fn service(&self, service: &ServiceDescriptor) -> String {
        self.at(service.parent_file().name(), service.path())
    }

    pub(super) fn method(&self, method: &MethodDescriptor) -> String {
        self.at(method.parent_file().name(), method.path())
    }

    pub(super) fn message(&self, message: &MessageDescriptor) -> String {
        self.at(message.parent_file().name(), message.path())
    }

    pub(super) fn field(&self, field: &FieldDescriptor) -> String {
        self.at(field.parent_file().name(), field.path())
    }

    pub(super) fn enumeration(&self, descriptor: &EnumDescriptor) -> String {
        self.at(descriptor.parent_file().name(), descriptor.path())
    }

    pub(super) fn value(&self, value: &EnumValueDescriptor) -> String {
        self.at(value.parent_file().name(), value.path())
    }

    fn at(&self, file: &str, path: &[i32]) -> String {
        self.by_file.get(file).and_then(|file| file.get(path)).cloned().unwrap_or_default()
    }
}

/// Takes the space after each `//` away.
fn clean(text: &str) -> String {
    text.lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}
