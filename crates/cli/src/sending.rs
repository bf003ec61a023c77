//! Ended exams are sent beside a run, where the profile wants that.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sonotap::profile::{DicomProfile, ExamsProfile, SendWhen};
use sonotap_exam::{ExamSender, SendNews};

use crate::exams::Network;

/// What was sent during a run, and what was not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SendingReport {
    /// Names of exams that the archive has now.
    pub sent: Vec<String>,
    /// Exams that the archive, or their own files, will not let be sent; with the reason.
    pub refused: Vec<String>,
}

/// Who sends ended exams.
pub struct Sending {
    sender: ExamSender,
    report: SendingReport,
}

impl Sending {
    /// As the profile says; `None` where nothing is sent by itself.
    ///
    /// # Errors
    /// When the profile names no archive, or its certificates cannot be read.
    pub fn of(root: &Path, exams: &ExamsProfile, dicom: Option<&DicomProfile>) -> Result<Option<Self>> {
        if exams.send == SendWhen::Never {
            return Ok(None);
        }
        let dicom = dicom.context("exams.send: expected [dicom] in the profile, got none")?;
        let (to, options) = Network::of_profile(dicom).archive()?;
        let sender = ExamSender::start(root, to, options).context("exams.send")?;
        Ok(Some(Self { sender, report: SendingReport::default() }))
    }

    /// An exam was ended. Never waits.
    pub fn ended(&self) {
        self.sender.look();
    }

    /// Takes what became of exams. Whether anything was sent, so that less is unsent. Never waits.
    pub fn take_news(&mut self) -> bool {
        let mut is_sent = false;
        while let Some(news) = self.sender.news() {
            match news {
                SendNews::Sent { exam, objects } => {
                    log::info!("exam {exam}: the archive has it, {objects} objects were sent");
                    self.report.sent.push(exam);
                    is_sent = true;
                }
                SendNews::Refused { exam, why } => {
                    log::error!("exam {exam}: not sent: {why}");
                    self.report.refused.push(format!("exam {exam}: {why}"));
                }
                SendNews::Later { exam, why } => log::warn!("exam {exam}: not sent yet: {why}; it is tried again"),
            }
        }
        is_sent
    }

    /// What was sent so far.
    pub fn finish(mut self) -> SendingReport {
        self.take_news();
        self.report
    }
}
