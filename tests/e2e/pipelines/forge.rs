//! How the three forges differ in what the tests need.

use serde_json::{Value, json};

use super::api::Comment;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forge {
    GitHub,
    GitLab,
    Forgejo,
}

impl Forge {
    /// Folder of the example, from the repository's root.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::GitHub => "examples/pipelines/github/.github/workflows",
            Self::GitLab => "examples/pipelines/gitlab",
            Self::Forgejo => "examples/pipelines/forgejo/.forgejo/workflows",
        }
    }

    /// How the variables that the runner sets begin.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::GitHub => "GITHUB",
            Self::GitLab => "CI",
            Self::Forgejo => "FORGEJO",
        }
    }

    pub(crate) fn api_prefix(self) -> &'static str {
        match self {
            Self::GitHub => "",
            Self::GitLab => "/api/v4",
            Self::Forgejo => "/api/v1",
        }
    }

    /// All comments of request 1.
    pub(crate) fn comments_path(self) -> &'static str {
        match self {
            Self::GitHub | Self::Forgejo => "/repos/lab/cluster/issues/1/comments",
            Self::GitLab => "/projects/7/merge_requests/1/notes",
        }
    }

    /// One of them, before its id.
    pub(crate) fn comment_path(self) -> &'static str {
        match self {
            Self::GitHub | Self::Forgejo => "/repos/lab/cluster/issues/comments/",
            Self::GitLab => "/projects/7/merge_requests/1/notes/",
        }
    }

    pub(crate) fn update_method(self) -> &'static str {
        match self {
            Self::GitHub | Self::Forgejo => "PATCH",
            Self::GitLab => "PUT",
        }
    }

    /// The header that carries a token.
    pub(crate) fn header(self, token: &str) -> String {
        match self {
            Self::GitHub => format!("Authorization: Bearer {token}"),
            Self::GitLab => format!("PRIVATE-TOKEN: {token}"),
            Self::Forgejo => format!("Authorization: token {token}"),
        }
    }

    /// Whose comments those with the token are.
    pub(crate) fn bot(self) -> &'static str {
        match self {
            Self::GitHub => "github-actions[bot]",
            Self::GitLab => "project_7_bot",
            Self::Forgejo => "forgejo-actions",
        }
    }

    pub(crate) fn author(self, name: &str) -> Value {
        let id = if name == self.bot() { 4 } else { 5 };
        match self {
            Self::GitHub | Self::Forgejo => json!({ "id": id, "login": name }),
            Self::GitLab => json!({ "id": id, "username": name }),
        }
    }

    pub(crate) fn comment(self, comment: &Comment) -> Value {
        let author = self.author(&comment.author);
        match self {
            Self::GitHub | Self::Forgejo => {
                json!({ "id": comment.id, "user": author, "body": comment.body })
            }
            Self::GitLab => json!({ "id": comment.id, "author": author, "body": comment.body }),
        }
    }
}
