//! One page on a shop: where its customers are, how they move, where they are lost, who comes back, what brought them, how
//! they feel, what goes with a purchase, what they are worth, and whom to act on. All of it is one scan of the store.
//!
//! ```text
//! cargo run --release --example import -- shop.journey events.csv.gz --customer user_id --touchpoint event --time timestamp
//! cargo run --release --example shop_report -- shop.journey
//! cargo run --release --example shop_report -- shop.journey --steps product_view,cart,purchase --currency EUR --list
//! ```

use std::{cmp::Reverse, error::Error, path::PathBuf, process::ExitCode};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use journeylog::{
    Attribution, AttributionModel, AttributionReport, Cell, ChurnRate, ChurnRateReport, CohortRetention,
    CohortRetentionReport, Comparison, Condition, Consistency, ConsistencyReport, ConversionRate, ConversionRateReport,
    CustomerId, DriverBy, Drivers, DriversReport, EventBy, Experience, ExperienceReport, Funnel, FunnelReport,
    JourneyModel, LifetimeValue, LifetimeValueReport, Members, MembersReport, Period, PropertyValue, Purchases,
    PurchasesReport, Rate, Segment, StageCounts, StageCountsReport, StoreOptions, Survey, SurveyScore, Table,
    Transitions, TransitionsReport,
};

/// Prints one page on a shop.
#[derive(Parser)]
struct Args {
    /// The folder of the store.
    store: PathBuf,
    /// The way to a purchase: touchpoints in order, the last of which is the purchase.
    #[arg(
        long,
        value_name = "TOUCHPOINTS",
        value_delimiter = ',',
        default_value = "product_view,add_to_cart,purchase"
    )]
    steps: Vec<String>,
    /// Days within which the way to a purchase is gone.
    #[arg(long, value_name = "N", default_value_t = 7)]
    days: u16,
    /// The touchpoint at which something is put in the cart.
    #[arg(long, value_name = "TOUCHPOINT", default_value = "add_to_cart")]
    cart: String,
    /// The currency of what customers are worth.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Names the customers to act on.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let purchase = Condition::touchpoint(args.steps.last().ok_or("--steps names none")?)?;
    let cart = Condition::touchpoint(&args.cart)?;
    let anything = Condition::All(Vec::new());

    let stages = StageCounts::of(JourneyModel::standard());
    let moves = Transitions::of(JourneyModel::standard());
    let window = TimeDelta::days(args.days.into());
    let funnel = Funnel::ordered(args.steps.iter().map(String::as_str)).within(window).build()?;
    let retention = CohortRetention::of(anything.clone(), anything.clone(), Period::MONTH).first_ever().periods(4);
    let retention = retention.build()?;
    let churn = ChurnRate::every(Period::MONTH).build()?;
    let carts =
        ConversionRate::abandonment(cart.clone(), purchase.clone()).within(TimeDelta::days(CART_DAYS)).build()?;
    let bought = Purchases::of(purchase.clone()).build()?;
    let drivers = Drivers::of_conversion(purchase.clone()).build()?;
    let channels = Consistency::of(Survey::Nps).latest().build()?;

    let attribution = Attribution::of(purchase.clone(), anything.clone()).within(TimeDelta::days(30));
    let attribution = attribution.models(MODELS).build()?;
    let answers = Experience::builder().latest().build()?;
    let answers_by_stage = Experience::builder().latest().by(EventBy::Stage).build()?;
    let mut value = LifetimeValue::of(purchase.clone()).horizon(TimeDelta::days(90));
    if let Some(currency) = &args.currency {
        value = value.value_in(currency);
    }
    let value = value.build()?;

    let members =
        |segment: Segment| if args.list { Members::of(segment).list_customers() } else { Members::of(segment) };
    let month = TimeDelta::days(30);
    let left = Segment::did(cart).then_not(purchase.clone()).within(TimeDelta::days(CART_DAYS)).past(month);
    let left_carts = members(left.and(Segment::did_not(purchase.clone()).past(month)).build()?);
    let quiet = Segment::did_not(anything).past(TimeDelta::days(60));
    let likely_lost = members(Segment::did(purchase.clone()).and(quiet).build()?);
    let loyal = Segment::did(purchase).at_least(3);
    let unhappy = Segment::score(Survey::Nps, Comparison::Le(6)).or(Segment::score(Survey::Csat, Comparison::Le(2)));
    let (loyal, unhappy) = (members(loyal.build()?), members(unhappy.build()?));

    let store = StoreOptions::new().must_exist().open(&args.store)?;
    let query = store.query();
    let (movement, worth, rates, act_on) = query.run((
        (&stages, &moves, &funnel, &retention),
        (&attribution, (&answers, &answers_by_stage, &channels), &value, &bought),
        (&churn, &carts, &drivers),
        (&left_carts, &likely_lost, &loyal, &unhappy),
    ))?;

    let name = args.store.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    print_heading(&name, store.len(), movement.1.customers, query.observation_end()?);
    print_stages(&movement.0);
    print_moves(&movement.1);
    print_funnel(&movement.2, args.days);
    print_carts(&rates.1);
    print_retention(&movement.3);
    print_churn(&rates.0);
    print_attribution(&worth.0);
    print_drivers(&rates.2);
    print_experience(&worth.1.0, &worth.1.1);
    print_channels(&worth.1.2);
    print_value(&worth.2, &worth.3, args.currency.is_some());
    print_segments(&[
        ("left a cart in the last 30 days, nothing bought since: remind them", &act_on.0),
        ("bought before, not seen for 60 days: win them back", &act_on.1),
        ("bought three times or more: thank them", &act_on.2),
        ("unhappy by their last answer: call them", &act_on.3),
    ]);
    store.close()?;
    Ok(())
}

/// Days after which a cart is left.
const CART_DAYS: i64 = 3;

/// The models side by side: what came last, all alike, and two that weigh what could not be missed.
const MODELS: [AttributionModel; 4] =
    [AttributionModel::Last, AttributionModel::Linear, AttributionModel::Shapley, AttributionModel::Markov];

fn heading(text: &str) {
    println!("\n{}\n", text.to_uppercase());
}

fn print_heading(name: &str, events: u64, customers: u64, until: Option<DateTime<Utc>>) {
    let until = until.map_or(String::new(), |until| format!(", up to {}", until.format("%Y-%m-%d")));
    println!("{name} on one page: {customers} customers in a stage, {events} events{until}");
}

fn print_stages(report: &StageCountsReport) {
    heading("Where customers are now");
    let mut table = Table::new("By the latest thing they did that tells a stage", ["stage", "customers", "share"]);
    for stage in &report.stages {
        table.push([stage.stage.as_str().into(), stage.customers.into(), Cell::share(stage.share.share)]);
    }
    print!("{table}");
}

fn print_moves(report: &TransitionsReport) {
    heading("How they move");
    let mut moves: Vec<_> = report.cells.iter().filter(|cell| cell.count > 0 && cell.from.is_some()).collect();
    moves.sort_by_key(|cell| Reverse(cell.count));
    let mut table = Table::new("The most frequent moves between stages", ["from", "to", "times", "customers", "after"]);
    for cell in moves.into_iter().take(5) {
        let from = cell.from.as_ref().map_or("", |stage| stage.as_str());
        let after = Cell::seconds(cell.dwell.map(|dwell| dwell.median));
        table.push([from.into(), cell.to.as_str().into(), cell.count.into(), cell.customers.into(), after]);
    }
    print!("{table}");
    println!(
        "\n{} times somebody went a stage ahead or further, {} times back.",
        report.advances + report.skips,
        report.regressions
    );
}

fn print_funnel(report: &FunnelReport, days: u16) {
    heading("Where they are lost on the way to a purchase");
    let title = format!("Within {days} days of the first step");
    let mut table =
        Table::new(title, ["step", "customers", "of the first", "of the one before", "median time", "still under way"]);
    for step in &report.steps {
        table.push([
            step.name.as_str().into(),
            step.customers.into(),
            Cell::share(step.from_entry.share),
            Cell::share(step.from_previous.share),
            Cell::seconds(step.time_to_reach.map(|time| time.median)),
            step.pending.into(),
        ]);
    }
    print!("{table}");
    let lost = |rate: &Rate| rate.of.saturating_sub(rate.some);
    if let Some(worst) = report.bottlenecks.iter().max_by_key(|one| lost(&one.went_on)) {
        let (gone, of) = (lost(&worst.went_on), worst.went_on.of);
        let next = report.steps.get(worst.step).map_or("the end", |step| step.name.as_str());
        println!("\nMost are lost between {} and {next}: {gone} of {of} customers.", worst.name);
    }
}

fn print_carts(report: &ConversionRateReport) {
    let left = report.total.abandonment;
    if let Some(share) = left.share {
        let (some, of, share) = (left.some, left.of, 100.0 * share);
        println!(
            "\n{some} of {of} times something was put in the cart nothing was bought within {CART_DAYS} days ({share:.1} %)."
        );
    }
}

fn print_churn(report: &ChurnRateReport) {
    let total = &report.total;
    if total.base > 0 {
        let share = 100.0 * total.churned as f64 / total.base as f64;
        println!(
            "\nOf {} customers of a month {} came in the next, and {} did not ({share:.1} %).",
            total.base, total.retained, total.churned
        );
    }
}

fn print_retention(report: &CohortRetentionReport) {
    heading("Who comes back");
    let title = "Of all who came for the first time in some month";
    let mut table = Table::new(title, ["months later", "customers", "came back", "share"]);
    for (column, average) in report.columns.iter().zip(&report.average).skip(1) {
        let Rate { some, of, share, .. } = average.rate;
        table.push([u64::from(column.from).into(), of.into(), some.into(), Cell::share(share)]);
    }
    print!("{table}");
}

fn print_attribution(report: &AttributionReport) {
    heading("What brought the purchases");
    if report.conversions == 0 {
        return println!("No purchases yet.");
    }
    let columns = ["channel", "all to the last", "to each alike", "shapley", "markov"];
    let title = format!("{} purchases, shared among the channels of the 30 days before", report.conversions);
    let mut table = Table::new(title, columns);
    for row in &report.keys {
        let credits = MODELS.map(|model| row.credits.iter().find(|credit| credit.model == model));
        let cells =
            credits.map(|credit| Cell::from(credit.map_or(String::new(), |c| c.conversions.round_dp(1).to_string())));
        table.push(std::iter::once(Cell::from(row.key.to_string())).chain(cells));
    }
    print!("{table}");
    if report.without_touch.conversions > 0 {
        println!("\nNothing is known of what came before {} of them.", report.without_touch.conversions);
    }
}

fn print_drivers(report: &DriversReport) {
    heading("What goes with a purchase");
    let columns = ["before it", "customers", "bought", "of the others"];
    let mut table = Table::new(
        "What buyers met more often than others, by more than chance; that it led to it is not said",
        columns,
    );
    let is_found = |test: &journeylog::DriverTest| test.odds.ratio > 1.0 && test.q_value <= 0.05;
    for driver in report.drivers.iter().filter(|driver| driver.test.as_ref().is_some_and(is_found)).take(5) {
        let kind = if driver.by == DriverBy::Channel { "channel" } else { "touchpoint" };
        let PropertyValue::Text(name) = &driver.value else { continue };
        let shares = [driver.with.share, driver.without.share].map(Cell::share);
        table.push([format!("{kind} {name}").into(), driver.with.of.into()].into_iter().chain(shares));
    }
    if table.rows.is_empty() {
        return println!("Nothing that could not be chance.");
    }
    print!("{table}");
}

fn print_channels(report: &ConsistencyReport) {
    if let Some(test) = report.kruskal_wallis {
        let differs = if test.p_value < 0.05 { "more than" } else { "no more than" };
        println!("\nBetween channels NPS answers differ {differs} by chance (p = {:.3}).", test.p_value);
    }
}

fn print_experience(report: &ExperienceReport, by_stage: &ExperienceReport) {
    heading("How they feel");
    if report.total.iter().all(|score| score.answers == 0) {
        return println!("No answers to a survey yet.");
    }
    let columns = ["survey", "stage when answering", "answers", "score", "likely within"];
    let mut table = Table::new("By each customer's latest answer", columns);
    let mut row = |stage: &str, score: &SurveyScore| {
        let interval = format!("{:.1} to {:.1}", score.low, score.high);
        let number = format!("{:.1}", score.score);
        table.push([
            score.survey.as_str().to_uppercase().into(),
            stage.into(),
            score.answers.into(),
            number.into(),
            interval.into(),
        ]);
    };
    report.total.iter().filter(|score| score.answers > 0).for_each(|score| row("all", score));
    for one in by_stage.rows.iter().filter(|one| one.score.answers > 0) {
        row(one.group.as_deref().unwrap_or("none"), &one.score);
    }
    print!("{table}");
}

fn print_value(report: &LifetimeValueReport, bought: &PurchasesReport, is_money_known: bool) {
    heading("What they are worth");
    let LifetimeValueReport { buyers, repeat_buyers, purchases, .. } = report;
    println!("{buyers} customers bought, {repeat_buyers} of them on several days, on {purchases} days in all.");
    let spent: Vec<String> = report.historic.iter().map(|historic| historic.total.to_string()).collect();
    if !spent.is_empty() {
        println!("They spent {}.", spent.join(" and "));
    } else if !is_money_known {
        println!("What they spent is told with --currency.");
    }
    if let Some(between) = bought.between {
        println!("Between two such days lie {:.1} days, by the median.", between.median / 86_400.0);
    }
    let best = bought.segments.iter().filter(|segment| segment.rfm.recency >= 4 && segment.rfm.frequency >= 4);
    let best: u64 = best.map(|segment| segment.customers).sum();
    println!("{best} of them are among the best: they bought lately, and often.");
    if let Some(expected) = &report.expected {
        println!("About {:.0} of them are still customers.", expected.alive);
        if let Some(purchases) = expected.purchases {
            println!("Expected within the next 90 days: {purchases:.0} days with a purchase.");
        }
        if let Some(value) = expected.value {
            println!("They are worth {value:.2} in that time.");
        }
    }
    report.warnings.iter().for_each(|warning| println!("Take this with care: {warning}."));
}

fn print_segments(segments: &[(&str, &MembersReport)]) {
    heading("Whom to act on");
    let mut table = Table::new("Customers", ["who", "customers", "share"]);
    for (who, report) in segments {
        table.push([(*who).into(), report.members.some.into(), Cell::share(report.members.share)]);
    }
    print!("{table}");
    for (who, report) in segments {
        if let Some(customers) = report.customers.as_ref().filter(|customers| !customers.is_empty()) {
            let names: Vec<&str> = customers.iter().map(CustomerId::as_str).collect();
            println!("\n{who}:\n{}", names.join(", "));
        }
    }
}
