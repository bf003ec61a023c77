//! The arguments of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Tap a structure on a live ultrasound image: sonotap outlines it, follows it and measures it. Not for diagnostic use.
///
/// Without a command it plays the bundled heart cine through the whole live path with a scripted gesture.
#[derive(Parser)]
#[command(name = "sonotap", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Play a source through the live path. Ctrl-C stops it and keeps what was recorded.
    Run(RunArguments),
    /// Outline one structure of one still image.
    Segment(SegmentArguments),
    /// Outline a folder of images, one after the other, into a data set: what the model proposes is corrected by taps and accepted
    /// with a key. Goes on where it stopped.
    Label(LabelArguments),
    /// Look at saved exams, check, export and send them.
    #[command(subcommand)]
    Exams(ExamsCommand),
    /// Measure a model on data sets as the field does, or compare two reports.
    Eval(EvalArguments),
    /// Train a click model on one's own data. Ctrl-C saves; --resume goes on.
    #[cfg(feature = "train")]
    Train(TrainArguments),
    /// Train a student that also learns from a teacher.
    #[cfg(feature = "train")]
    Distill {
        /// weights.safetensors of a run, or a model folder.
        #[arg(long, value_name = "WEIGHTS|DIR")]
        teacher: PathBuf,
        /// What is trained on what (TOML); a stage with [stage.distill] asks the teacher.
        #[arg(long, value_name = "CONFIG.toml")]
        student: PathBuf,
        /// Folder for checkpoints and curves.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Go on with the run in that folder.
        #[arg(long)]
        resume: bool,
        /// Go on from the averaged weights of a run (its weights.safetensors), at their step.
        #[arg(long, value_name = "WEIGHTS", conflicts_with = "resume")]
        take_up: Option<PathBuf>,
    },
    /// Make a model folder of trained weights.
    #[cfg(feature = "train")]
    Export {
        /// weights.safetensors of a run.
        weights: PathBuf,
        /// New folder.
        dir: PathBuf,
        /// Model card; by default a short one of what the run's config says.
        #[arg(long, value_name = "FILE.md")]
        card: Option<PathBuf>,
        /// Figures for the manifest: the report.json of `sonotap eval` on this model.
        #[arg(long, value_name = "REPORT.json")]
        report: Option<PathBuf>,
    },
    /// Make a model folder whose encoder is integer, and say what that costs.
    Quantize(QuantizeArguments),
    /// Time a quantized encoder on this processor, one thread.
    Bench(BenchArguments),
    /// Work with data sets.
    #[command(subcommand)]
    Data(DataCommand),
    /// Look at a model folder.
    #[command(subcommand)]
    Model(ModelCommand),
    /// List cameras, their formats, sizes and rates.
    #[cfg(feature = "v4l2")]
    Cameras {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take what a killed run left off the screen, and give the text console back.
    #[cfg(feature = "kms")]
    Blank {
        /// The profile that it was run with.
        #[arg(long, value_name = "PROFILE.toml")]
        config: PathBuf,
        /// Another screen than the profile's, as in `run`.
        #[arg(long, value_name = "KIND[:PATH]")]
        display: Option<String>,
        /// Words across the screen.
        #[arg(long, default_value = "")]
        text: String,
        /// How long they stay, until SIGTERM at the longest.
        #[arg(long, value_name = "S", default_value_t = 0.0)]
        seconds: f64,
    },
    /// Let a tablet show the screen of a run with [remote] button: prints address, PIN and QR code.
    Pair {
        /// The socket of its profile.
        #[arg(long, value_name = "SOCKET", default_value = "/run/sonotap/button")]
        button: PathBuf,
    },
    /// Say what this device can do, and what is missing.
    Doctor {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `quantize`.
#[derive(Args)]
pub struct QuantizeArguments {
    /// Model folder with an encoder in f32.
    pub model: PathBuf,
    /// Data set whose images show which values tensors have (train split) and what is lost (val split); may be given more than
    /// once.
    #[arg(long, value_name = "DATA", required = true, num_args = 1..)]
    pub calibrate: Vec<PathBuf>,
    /// New folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How ranges follow from values: best, min-max, percentile, mean-square.
    #[arg(long, value_name = "WAY", default_value = "best")]
    pub ranges: String,
    /// Calibration images of each set, each seen whole and framed by its object.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub images: usize,
    /// Objects of each set to measure the loss of IoU on; 0 leaves that out.
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub validate: usize,
    /// Of the choice of images.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArguments {
    /// Model folder with a quantized encoder.
    pub model: PathBuf,
    /// A row for each step.
    #[arg(long)]
    pub layers: bool,
    /// Runs of which the median is taken.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub runs: usize,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `run`.
#[derive(Args, Clone)]
pub struct RunArguments {
    /// dicom:FILE, images:PATH (a folder of pictures, a GIF or a single picture), phantom:PRESET (cyst, lesion, vessel,
    /// vessel-wall, chamber, myocardium, fetal-head, needle), camera:DEVICE, or OpenIGTLink images: igtl:listen for those that
    /// clients send, igtl:ADDRESS:PORT for those of a server; by default the source of --config.
    #[arg(long, value_name = "KIND:WHAT")]
    pub source: Option<String>,
    /// Device profile (TOML): camera, screen, touch panel. Other arguments win over it.
    #[arg(long, value_name = "PROFILE.toml")]
    pub config: Option<PathBuf>,
    /// Check --config, by all that the first frame and the first tap will run, and stop.
    #[arg(long, requires = "config", conflicts_with = "print_config")]
    pub check_config: bool,
    /// Print the profile that the arguments and --config come to, with every key, and stop.
    #[arg(long)]
    pub print_config: bool,
    /// Model folder; the bundled one by default.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// What is about to be outlined: bladder, gallbladder, kidney, liver-lesion, thyroid-lobe, nodule, breast-lesion, fetal-head,
    /// left-ventricle, carotid, nerve, muscle, bone, or a file NAME.toml. It names the object, chooses its measurements, and
    /// where the scale is known orders the outlines of a tap; it hides none.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Scripted taps (TOML).
    #[arg(long, value_name = "FILE")]
    pub taps: Option<PathBuf>,
    /// window, drm, fbdev (each also with :DEVICE), auto (drm, else fbdev), remote[:ADDRESS:PORT] (a browser on a tablet; beside
    /// another one, a mirror), record:PATH (a .gif or .y4m file, which is replaced, or a new folder for PNGs), or none; may be given more than once; by default that of --config, else none.
    #[arg(long, value_name = "WHERE")]
    pub display: Vec<String>,
    /// Open pairing for a tablet at the start: prints address, PIN and QR code on standard error.
    #[arg(long)]
    pub pair: bool,
    /// Frames a second; by default as recorded, else 30.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub fps: Option<f64>,
    /// Suggest an outline before any tap, faint and marked as suggested, from this score on (0.5 to 0.99; by default 0.8). A tap within it
    /// accepts it. It needs a model that proposes (docs/training.md).
    #[arg(long, value_name = "SCORE", num_args = 0..=1, require_equals = true, default_missing_value = "0.8")]
    pub propose: Option<f32>,
    /// Greatest age of a frame when it first is at the glass; by default one frame period.
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    pub deadline_ms: Option<f64>,
    /// Stop after so long; by default a window plays until it is closed, --config until SIGTERM, a file once through, a
    /// phantom or a single picture ten seconds.
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// Start the source again when it ends.
    #[arg(long = "loop")]
    pub is_looped: bool,
    /// Size of the screen in px, where it has none of its own; by default 800x480.
    #[arg(long, value_name = "WxH", allow_hyphen_values = true)]
    pub size: Option<String>,
    /// Dots per inch of the screen, which sizes the controls; by default those of the window, else 133.
    #[arg(long, value_name = "DPI", allow_negative_numbers = true)]
    pub dpi: Option<f32>,
    /// Swap left and right on the screen.
    #[arg(long)]
    pub mirror: bool,
    /// With --display none: a simulated screen that shows a picture at its next refresh, N times a second.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub flip_hz: Option<f64>,
    /// Where exams are kept (docs/exams.md): key s, or `press = "save"` in --taps, saves the frame on the screen with its
    /// exact outlines, v or `save-cine` the cine ring. The exam begins with the first of them.
    #[arg(long, value_name = "STORE")]
    pub save_exam: Option<PathBuf>,
    /// Seed of a phantom.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub seed: u64,
    /// Send label maps, outlines and measurements to OpenIGTLink clients that connect here. Without an address only programs of
    /// this machine can: the protocol has no authentication.
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    pub igtl: Option<String>,
    /// With --source igtl: only images of this OpenIGTLink device; by default of the first that sends any.
    #[arg(long, value_name = "NAME")]
    pub igtl_device: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `segment`.
#[derive(Args)]
pub struct SegmentArguments {
    /// PNG, JPEG, GIF or DICOM.
    pub image: PathBuf,
    /// Which frame of a DICOM cine, from 1; by default the first.
    #[arg(long, value_name = "N")]
    pub frame: Option<usize>,
    /// A click "x,y" in image px, or "x,y,-" for one that the structure does not hold; may be given more than once.
    #[arg(long = "point", value_name = "X,Y[,-]", allow_hyphen_values = true)]
    pub points: Vec<String>,
    /// A box "x0,y0,x1,y1" in image px.
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", allow_hyphen_values = true)]
    pub boxed: Option<String>,
    /// A previous mask, of the image's size, inside where brighter than 127.
    #[arg(long, value_name = "MASK.png")]
    pub prev: Option<PathBuf>,
    /// Of the candidates for a lone click, show this one (0 is the model's choice).
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub candidate: u8,
    /// Encode the whole frame only, without looking closer.
    #[arg(long)]
    pub whole_frame: bool,
    /// What is outlined, as for `run`: where the scale is known, candidates of an unlikely size come later.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Model folder; the bundled one by default.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Write the mask as PNG, 255 inside; an existing file is replaced.
    #[arg(long, value_name = "MASK.png")]
    pub out: Option<PathBuf>,
    /// Write the image with the outline as PNG; an existing file is replaced.
    #[arg(long, value_name = "OVERLAY.png")]
    pub overlay: Option<PathBuf>,
    /// Save the image with outline and measurements in this store of exams (docs/exams.md), as a new exam.
    #[arg(long, value_name = "STORE")]
    pub save_exam: Option<PathBuf>,
    /// Add to this exam instead, as 2026-11-29-0001; it must not have ended.
    #[arg(long, value_name = "EXAM", requires = "save_exam")]
    pub exam: Option<String>,
    /// Print score, area and outline as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `label`.
#[derive(Args)]
pub struct LabelArguments {
    /// A folder of PNG, JPEG, GIF or DICOM images, or a data set. Its subfolders are groups: one patient's images each.
    pub dir: PathBuf,
    /// Where the set grows, with copies of the images; by default in DIR itself. DICOM files need it: their frames become PNG
    /// files whose names say nothing of a patient.
    #[arg(long, value_name = "SET")]
    pub out: Option<PathBuf>,
    /// Of DICOM cines only this frame, from 1; by default each frame is an image.
    #[arg(long, value_name = "N")]
    pub frame: Option<usize>,
    /// Model folder; the bundled one by default. One with proposal.onnx proposes the first outline.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Take proposals from this score on (0.5 to 0.99; by default 0.8).
    #[arg(long, value_name = "SCORE", num_args = 0..=1, require_equals = true, default_missing_value = "0.8")]
    pub propose: Option<f32>,
    /// Show nothing: write what the model proposes for each image, to be looked at later with --again.
    #[arg(long, conflicts_with_all = ["taps", "display"])]
    pub propose_only: bool,
    /// Show images that have a mask again, too; one that is accepted without an edit keeps its mask.
    #[arg(long)]
    pub again: bool,
    /// Taps file (src/input/script.rs): frame N is the Nth image shown; `press = "save"` accepts, `step-forward` skips, `step-back`
    /// goes back.
    #[arg(long, value_name = "FILE.toml")]
    pub taps: Option<PathBuf>,
    /// window, remote[:ADDRESS:PORT], record:PATH or none, as for `run`; may be given more than once. By default a window.
    #[arg(long, value_name = "KIND[:PATH]")]
    pub display: Vec<String>,
    /// Size of the screen in px, where it has none of its own; by default 800x480.
    #[arg(long, value_name = "WxH", allow_hyphen_values = true)]
    pub size: Option<String>,
    /// Dots per inch of the screen, which sizes the controls.
    #[arg(long, value_name = "DPI", allow_negative_numbers = true)]
    pub dpi: Option<f32>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `eval`.
#[derive(Args)]
pub struct EvalArguments {
    /// Model folder; the bundled one by default.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// A data set: a folder with manifest.csv, or with images/ and masks/ (docs/datasets.md); may be given more than once.
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// Rows of this split; `all` for all rows.
    #[arg(long, value_name = "NAME", default_value = "test")]
    pub split: String,
    /// noc, msa, clicksam, box, auto, cine.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "noc,msa,clicksam,box")]
    pub protocol: Vec<String>,
    /// full (target crop, click correction, several scales where the model's scores compare them: as the product looks), single
    /// (as full, but a lone click is seen in one view), plain (the graphs alone); one or more of them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "full")]
    pub look: Vec<String>,
    /// Most clicks of noc.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub max_clicks: usize,
    /// Which 8-connected components of a mask are objects: largest or each.
    #[arg(long, value_name = "WHICH", default_value = "largest")]
    pub objects: String,
    /// At most so many masks of a set, of as many groups as there are.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// New folder for report.json, report.html and the finished rows.
    #[arg(long, value_name = "OUT")]
    pub report: Option<PathBuf>,
    /// Go on with a run that was stopped.
    #[arg(long)]
    pub resume: bool,
    /// Threads; the figures do not depend on it, times do.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Of everything random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
    /// Compare two reports instead: A.json B.json.
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], conflicts_with_all = ["data", "report", "resume"])]
    pub compare: Vec<PathBuf>,
}

/// Arguments of `train`.
#[cfg(feature = "train")]
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TrainArguments {
    /// Another kind of training.
    #[command(subcommand)]
    pub kind: Option<TrainCommand>,
    /// What is trained on what (TOML; docs/training.md).
    #[arg(value_name = "CONFIG.toml", required = true)]
    pub config: Option<PathBuf>,
    /// Folder for checkpoints and curves.
    #[arg(long, value_name = "DIR", required_unless_present = "preview")]
    pub out: Option<PathBuf>,
    /// Go on with the run in that folder.
    #[arg(long)]
    pub resume: bool,
    /// Go on from the averaged weights of a run (its weights.safetensors), at their step.
    #[arg(long, value_name = "WEIGHTS", conflicts_with = "resume")]
    pub take_up: Option<PathBuf>,
    /// Train nothing: draw a few of the pictures and targets that would be learned from.
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["out", "resume", "take_up"])]
    pub preview: Option<PathBuf>,
}

/// Commands of `train`.
#[cfg(feature = "train")]
#[derive(Subcommand)]
pub enum TrainCommand {
    /// Tune a click model to a structure with few outlined images and many without, and learn to propose it without a tap
    /// (SAM-Match). Ctrl-C saves; --resume goes on.
    Semi {
        /// What is trained on what (TOML; docs/training.md).
        #[arg(value_name = "CONFIG.toml")]
        config: PathBuf,
        /// Folder for checkpoints and weights.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Go on with the run in that folder.
        #[arg(long)]
        resume: bool,
    },
}

/// Commands of `exams`. The store is a folder; by default `exams` in the current one.
#[derive(Subcommand)]
pub enum ExamsCommand {
    /// All exams.
    List {
        #[command(flatten)]
        store: StoreArguments,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One exam: its items and files.
    Show {
        /// As 2026-11-29-0001.
        exam: String,
        #[command(flatten)]
        store: StoreArguments,
        /// Say the patient, too.
        #[arg(long)]
        patient: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read every file again and compare it with what was saved; all exams without a name.
    Verify {
        /// As 2026-11-29-0001.
        exam: Option<String>,
        #[command(flatten)]
        store: StoreArguments,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put right what a power cut left.
    Repair {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Bind an exam to a patient, until it is sent. The patient is read as lines KEY=VALUE (id, name, birth-date, sex,
    /// accession) from standard input: arguments can be seen by others.
    Bind {
        /// As 2026-11-29-0001.
        exam: String,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Say that date and time of an exam are right, which a clock without a time server does not know.
    Confirm {
        /// As 2026-11-29-0001.
        exam: String,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// End an exam: nothing is added any more, and it may be sent.
    End {
        /// As 2026-11-29-0001.
        exam: String,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Copy an exam into a new folder, as for a stick, with index.html; de-identified unless said otherwise. Every file is
    /// read back.
    Export {
        /// As 2026-11-29-0001.
        exam: String,
        #[command(flatten)]
        store: StoreArguments,
        /// The folder that gets the new one.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// With the patient.
        #[arg(long, conflicts_with = "pixels_are_clean")]
        with_patient: bool,
        /// Somebody looked: no picture shows a name, so nothing has to be made black.
        #[arg(long)]
        pixels_are_clean: bool,
    },
    /// Send an ended exam to an archive by DICOM C-STORE.
    Send {
        /// As 2026-11-29-0001.
        exam: String,
        #[command(flatten)]
        store: StoreArguments,
        /// The archive; by default that of the profile.
        #[arg(long, value_name = "AE-TITLE@HOST:PORT", required_unless_present = "config")]
        to: Option<String>,
        #[command(flatten)]
        network: NetworkArguments,
        /// Tries before giving up for now, with growing waits between them.
        #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
        tries: u32,
        /// Even if the exam is bound to nobody.
        #[arg(long)]
        unbound: bool,
        /// Try again what was refused.
        #[arg(long)]
        again: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What is ordered, by DICOM C-FIND: a day in UTC with the ones before and after it.
    Worklist {
        /// The server; by default that of the profile.
        #[arg(long, value_name = "AE-TITLE@HOST:PORT", required_unless_present = "config")]
        from: Option<String>,
        #[command(flatten)]
        network: NetworkArguments,
        /// Around this day, YYYY-MM-DD; by default today, or all days where nobody vouches for the clock.
        #[arg(long, value_name = "DAY", conflicts_with = "all_days")]
        day: Option<String>,
        /// All days.
        #[arg(long)]
        all_days: bool,
        /// Say the patients, too.
        #[arg(long)]
        patients: bool,
        /// Bind this exam to the patient of an order, whose step is read from standard input: arguments can be seen by others.
        #[arg(long, value_name = "EXAM", conflicts_with_all = ["patients", "json"])]
        bind: Option<String>,
        #[command(flatten)]
        store: StoreArguments,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete an ended exam that was sent.
    Forget {
        /// As 2026-11-29-0001.
        exam: String,
        #[command(flatten)]
        store: StoreArguments,
        /// Even if not all of it was sent.
        #[arg(long)]
        unsent_too: bool,
    },
}

/// How DICOM peers are reached.
#[derive(Args, Clone)]
pub struct NetworkArguments {
    /// A profile with [dicom]: peers, titles, TLS.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Our title; by default SONOTAP.
    #[arg(long, value_name = "AE-TITLE")]
    pub calling: Option<String>,
    /// Wait so long on connecting, reading and writing; by default 15.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: Option<u64>,
}

/// Where exams are kept.
#[derive(Args, Clone)]
pub struct StoreArguments {
    /// The folder of exams.
    #[arg(long = "in", value_name = "STORE", default_value = "exams")]
    pub root: PathBuf,
}

#[derive(Subcommand)]
pub enum DataCommand {
    /// Make a set of another layout one that eval and train read.
    Import {
        /// coco, yolo, voc or medsam.
        kind: String,
        /// The set.
        dir: PathBuf,
        /// New folder.
        out: PathBuf,
    },
}

#[derive(Subcommand)]
pub enum ModelCommand {
    /// Report what runs where: operations, multiplications, kernels.
    Inspect {
        /// The folder that holds manifest.toml.
        dir: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a model folder of the two files of an export, with its self-test measured.
    Add {
        /// Encoder, ONNX.
        encoder: PathBuf,
        /// Decoder, ONNX.
        decoder: PathBuf,
        /// Contract of the two graphs: sam-official.
        #[arg(long, value_name = "KIND", value_parser = ["sam-official"])]
        kind: String,
        /// Licence of the weights.
        #[arg(long, value_name = "TEXT")]
        licence: String,
        /// Name of the model; by default that of the folder.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// New folder.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Check files, digests, shapes and self-test of a model folder.
    Verify {
        /// The folder that holds manifest.toml.
        dir: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}
