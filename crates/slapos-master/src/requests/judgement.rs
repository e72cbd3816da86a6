//! What the schemas of a Software Release say: from what is kept of them, by a child of the Master that
//! knows no more than that, and once for the same parameters.
//!
//! Files are read by whoever judges, each time, so that nothing of them is kept; what they refer to on
//! the network is read only when somebody lacks it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use slapos_slap::{InstanceRequest, SoftwareUrl};

use super::bench::{Bench, Unanswered};
use super::job::{Answer, Job, Task};
use super::library::{Bundle, Counts, Library, Verdicts};
use super::schema::{Origin, Verdict, Web};

/// How long who only wants to know waits for schemas that are being read: until they are.
pub(super) const LOOK: Duration = Duration::from_secs(15);

/// Who judges.
#[derive(Debug)]
pub(super) struct Judgement {
    web: Web,
    bench: Bench,
    library: Library,
    verdicts: Mutex<Verdicts>,
    pub(super) counts: Counts,
}

/// What a job is done with.
struct Supplied {
    job: Job,
    origin: Origin,
    /// What of the network it was given.
    bundle: Option<Arc<Bundle>>,
}

impl Judgement {
    /// By schemas of there, with children that are started with these words.
    pub(super) fn new(web: Web, words: &'static [&'static str]) -> Judgement {
        let counts = Counts::default();
        let (bench, library) = (Bench::new(words), Library::new(words, counts.clone()));
        Judgement { web, bench, library, verdicts: Mutex::default(), counts }
    }

    /// Ends all that is read or judged, for good.
    pub(super) fn dismiss(&self) {
        self.bench.dismiss();
        self.library.dismiss();
    }

    /// Judges the parameters of a request, for which schemas may be waited for so long.
    ///
    /// # Errors
    /// When they are not judged for now.
    pub(super) async fn verdict(
        &self,
        project: &str,
        request: &InstanceRequest,
        patience: Duration,
    ) -> Result<Verdict, Unanswered> {
        let task = Task::Judge(Box::new(request.clone()));
        let found = self.supplied(project, &request.software, task, patience).await?;
        let supplied = match found {
            Ok(supplied) => supplied,
            Err(why) => {
                self.counts.verdict("unreadable");
                return Ok(Verdict::unreadable(why));
            }
        };
        // Files may be others by now.
        let bundle = supplied.bundle.as_ref().filter(|_| supplied.origin == Origin::Network);
        let subject = bundle.map(|bundle| Verdicts::subject(bundle, request));
        if let Some(known) = subject.and_then(|subject| self.verdicts().of(&subject)) {
            self.counts.verdict("known");
            return Ok(known);
        }
        let verdict: Verdict = self.said(supplied, patience).await?;
        self.counts.verdict(if verdict.readable { "judged" } else { "unreadable" });
        if let Some(subject) = subject {
            self.verdicts().keep(subject, &verdict);
        }
        Ok(verdict)
    }

    /// All that a Software Release says of its parameters, or why it cannot be read.
    ///
    /// # Errors
    /// When it is not read for now.
    pub(super) async fn description(
        &self,
        project: &str,
        software: &SoftwareUrl,
    ) -> Result<Result<serde_json::Value, String>, Unanswered> {
        match self.supplied(project, software, Task::Describe, LOOK).await? {
            Ok(supplied) => self.said(supplied, LOOK).await,
            Err(why) => Ok(Err(why)),
        }
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        // Nothing that can panic is done under the lock.
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job with what it needs of the network, or why that cannot be had.
    async fn supplied(
        &self,
        project: &str,
        software: &SoftwareUrl,
        task: Task,
        patience: Duration,
    ) -> Result<Result<Supplied, String>, Unanswered> {
        let mut job = Job {
            software: software.clone(),
            project: project.to_owned(),
            web: self.web.clone(),
            texts: Arc::default(),
            task,
        };
        // What may not be read needs no process.
        let origin = match job.documents() {
            Ok(documents) => documents.origin(),
            Err(why) => return Ok(Err(why)),
        };
        let bundle = match origin {
            Origin::Files => self.library.kept(&job),
            Origin::Network => match self.library.of(&job, patience).await? {
                Ok(bundle) => Some(bundle),
                Err(why) => return Ok(Err(why)),
            },
        };
        if let Some(bundle) = &bundle {
            job.texts = Arc::clone(&bundle.texts);
        }
        Ok(Ok(Supplied { job, origin, bundle }))
    }

    /// Has a job done, once more if files refer to what was not yet read of the network.
    async fn said<T: DeserializeOwned>(
        &self,
        supplied: Supplied,
        patience: Duration,
    ) -> Result<T, Unanswered> {
        let Supplied { mut job, origin, .. } = supplied;
        let answer: Answer<T> = self.bench.ask(&job).await?;
        if !answer.missed || origin == Origin::Network {
            return Ok(answer.said);
        }
        let Ok(bundle) = self.library.anew(&job, patience).await? else { return Ok(answer.said) };
        job.texts = Arc::clone(&bundle.texts);
        let answer: Answer<T> = self.bench.ask(&job).await?;
        Ok(answer.said)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use serde_json::json;
    use slapos_testkit::serve_texts;

    use super::*;
    use crate::testing::JUDGE;

    /// Until it is there.
    const LONG: Duration = Duration::from_secs(60);

    const DESCRIPTION: &str = r#"{"serialisation": "xml",
        "software-type": {"default": {"request": "input.json"}}}"#;

    const INPUT: &str = r#"{"properties": {"word": {"maxLength": 3}}}"#;

    fn judgement() -> Judgement {
        let hosts = vec!["127.0.0.1".to_owned()];
        Judgement::new(Web { https: false, http: false, hosts }, JUDGE)
    }

    fn request(software: &str, word: &str) -> InstanceRequest {
        let mut request = InstanceRequest::new("x", software);
        request.software_type = "default".to_owned();
        request.parameters = [("word".to_owned(), word.to_owned())].into();
        request
    }

    #[tokio::test]
    async fn the_same_parameters_are_judged_once() {
        let port = serve_texts(&[("software.cfg.json", DESCRIPTION), ("input.json", INPUT)]);
        let judgement = judgement();
        let url = format!("http://127.0.0.1:{port}/software.cfg");
        let asked = request(&url, "long");
        let verdict = judgement.verdict("p", &asked, LONG).await.unwrap();
        assert_eq!(verdict.errors[0].path, "$.word");
        // There is nobody any more who would read or judge.
        judgement.dismiss();
        assert_eq!(judgement.verdict("q", &asked, Duration::ZERO).await, Ok(verdict));
        for other in [
            request(&url, "other"),
            InstanceRequest { shared: true, ..asked.clone() },
            InstanceRequest { software_type: "other".to_owned(), ..asked.clone() },
        ] {
            let verdict = judgement.verdict("p", &other, LONG).await;
            assert_eq!(verdict, Err(Unanswered::Ending), "{other:?}");
        }
    }

    #[tokio::test]
    async fn files_are_judged_by_what_they_refer_to_on_the_network() {
        let port = serve_texts(&[("input.json", INPUT)]);
        let directory = tempfile::tempdir().unwrap();
        let near = json!({"$ref": format!("http://127.0.0.1:{port}/input.json")}).to_string();
        for (name, text) in [("software.cfg.json", DESCRIPTION), ("input.json", near.as_str())] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let software = directory.path().join("software.cfg").display().to_string();
        let judgement = judgement();
        let verdict = judgement.verdict("", &request(&software, "long"), LONG).await.unwrap();
        assert_eq!(verdict.errors.len(), 1, "{verdict:?}");
        // Files may be others whenever they are read.
        std::fs::write(directory.path().join("input.json"), "{}").unwrap();
        let verdict = judgement.verdict("", &request(&software, "long"), LONG).await.unwrap();
        assert!(verdict.readable && verdict.errors.is_empty(), "{verdict:?}");
        let verdict = judgement.verdict("p", &request(&software, "long"), LONG).await.unwrap();
        assert!(verdict.why.contains("operator only"), "{verdict:?}");
    }

    #[tokio::test]
    async fn forms_come_from_what_is_kept() {
        let port = serve_texts(&[("software.cfg.json", DESCRIPTION), ("input.json", INPUT)]);
        let judgement = judgement();
        let url = format!("http://127.0.0.1:{port}/software.cfg").into();
        let described = judgement.description("p", &url).await.unwrap().unwrap();
        assert_eq!(described["types"][0]["request_schema"]["properties"]["word"]["maxLength"], 3);
        judgement.library.dismiss();
        assert_eq!(judgement.description("p", &url).await, Ok(Ok(described)));
        let gone = format!("http://127.0.0.1:{port}/gone.cfg").into();
        assert_eq!(judgement.description("p", &gone).await, Err(Unanswered::Ending));
    }
}
