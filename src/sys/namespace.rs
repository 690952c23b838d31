//! Mount, user and pid namespaces (namespaces(7), user_namespaces(7), mount_namespaces(7)).
