//! The contract's comments, by what they stand before.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, FileDescriptor, MessageDescriptor};

use crate::admin_api::SERVICE;

/// See the module.
pub(super) struct Comments {
    /// By file and place in it.
    texts: HashMap<(String, Vec<i32>), String>,
    /// By "/package.Service/Method".
    methods: HashMap<String, String>,
}

impl Comments {
    /// Those of the whole contract. Descriptors that cannot be read have none; whoever binds the table says so.
    pub(super) fn of_contract() -> Self {
        let mut texts = HashMap::new();
        let pool = DescriptorPool::decode(orchestrator_proto::DESCRIPTORS).unwrap_or_default();
        for file in pool.files() {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            for location in info.into_iter().flat_map(|info| &info.location) {
                if let Some(text) = &location.leading_comments {
                    texts.insert((file.name().to_owned(), location.path.clone()), one_line(text));
                }
            }
        }
        let mut comments = Self { texts, methods: HashMap::new() };
        for method in
            pool.get_service_by_name(SERVICE).iter().flat_map(|admin| admin.methods().collect::<Vec<_>>())
        {
            let text = comments.at(&method.parent_service().parent_file(), method.path());
            comments.methods.insert(format!("/{SERVICE}/{}", method.name()), text);
        }
        comments
    }

    pub(super) fn of_method(&self, path: &str) -> String {
        self.methods.get(path).cloned().unwrap_or_default()
    }

    pub(super) fn of_message(&self, message: &MessageDescriptor) -> String {
        self.at(&message.parent_file(), message.path())
    }

    pub(super) fn of_field(&self, field: &FieldDescriptor) -> String {
        self.at(&field.parent_message().parent_file(), field.path())
    }

    fn at(&self, file: &FileDescriptor, path: &[i32]) -> String {
        self.texts.get(&(file.name().to_owned(), path.to_vec())).cloned().unwrap_or_default()
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
