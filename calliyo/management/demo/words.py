"""What the demo's people are called, where they come from and what callers write: data, no code.

Every person and the institute are made up.
"""

from collections.abc import Mapping, Sequence

COMPANY_NAME = "Northstar Skills"

# Given names and family names that go together, and how many of a hundred leads bear them.
NAMES: Sequence[tuple[int, str, str]] = (
    (
        18,
        (
            "Aarav Aditi Akash Ananya Anjali Ankit Arpita Ashish Deepak Divya Gaurav Isha Kavita "
            "Kritika Manish Megha Mohit Neha Nikhil Pooja Pradeep Priyanka Rahul Ritika Rohit "
            "Sachin Sakshi Shivani Shubham Sneha Sumit Swati Tanvi Vaibhav Vikas Yash"
        ),
        (
            "Agarwal Bansal Chauhan Dubey Goel Gupta Jain Mathur Mishra Pandey Rastogi Saxena "
            "Sharma Shukla Singh Srivastava Tiwari Tripathi Tyagi Verma Yadav"
        ),
    ),
    (
        13,
        (
            "Aditya Aishwarya Akshay Amruta Aniket Ashwini Chinmay Gauri Kedar Ketaki Manasi Mayuri "
            "Mrunal Nilesh Omkar Prajakta Pranav Rutuja Sagar Sayali Shraddha Siddharth Sonali "
            "Tejas Vedant"
        ),
        (
            "Bhosale Chavan Deshmukh Deshpande Gaikwad Jadhav Joshi Kadam Kale Kulkarni More Patil "
            "Pawar Phadke Sawant Shinde"
        ),
    ),
    (
        11,
        (
            "Aarti Bhavik Chirag Darshan Dhara Dhruv Hardik Hetal Jigar Jinal Kinjal Krunal Maulik "
            "Mitali Nirali Parth Rinkal Ronak Urvi Vishal"
        ),
        ("Bhatt Dave Desai Gandhi Mehta Modi Parekh Parmar Patel Rathod Shah Solanki Thakkar Trivedi Vyas"),
    ),
    (
        12,
        (
            "Abinaya Aravind Arun Bhuvana Deepika Dinesh Gayathri Gokul Harini Karthik Kavin "
            "Keerthana Lavanya Madhan Meenakshi Nandhini Naveen Pavithra Prakash Praveen Ramya "
            "Sangeetha Santhosh Saranya Suresh Vignesh Vidhya"
        ),
        (
            "Balasubramanian Chandrasekar Ganesan Krishnan Kumar Murugan Natarajan Palanisamy "
            "Raghavan Rajendran Ramasamy Selvam Srinivasan Subramanian Sundaram Venkatesan"
        ),
    ),
    (
        11,
        (
            "Akhila Anusha Bhargav Bhavana Chaitanya Divyasri Harika Harsha Haritha Kalyan Lahari "
            "Mounika Nagesh Navya Pavan Prasanna Rajesh Ravali Sai Sandeep Sirisha Sravani Srikanth "
            "Tejaswini Vamsi Venkat"
        ),
        (
            "Bandaru Chowdary Gudipati Kandula Kolli Kota Mallela Naidu Nalluri Penumatsa Raju Rao "
            "Reddy Varma Vemula"
        ),
    ),
    (
        8,
        (
            "Abhishek Bhoomika Chandana Chethan Darshini Girish Kavya Kiran Manjunath Nagaraj "
            "Nisarga Pallavi Pradyumna Raghavendra Rakshitha Shashank Shreya Sindhu Spoorthi Sudeep "
            "Varsha Vinay"
        ),
        "Bhat Gowda Hegde Hiremath Kamath Murthy Nayak Pai Patil Prabhu Rao Shetty Shenoy Urs",
    ),
    (
        7,
        (
            "Abin Aiswarya Ajith Akhil Amal Anagha Anjana Athira Devika Gokul Hari Jishnu "
            "Krishnapriya Lekshmi Midhun Nimisha Parvathy Rahul Reshma Sreejith Sruthi Vishnu"
        ),
        "Kurup Krishnan Menon Nair Namboothiri Pillai Unnikrishnan Varier Warrier",
    ),
    (
        7,
        (
            "Abhijit Anirban Arindam Arpan Debjani Dipankar Indrani Koyel Madhumita Mousumi Moumita "
            "Paromita Riya Sayan Shreyasi Sourav Subhajit Sudipta Suparna Tanmoy"
        ),
        (
            "Banerjee Basu Bhattacharya Bose Chakraborty Chatterjee Das Dutta Ghosh Majumdar Mitra "
            "Mukherjee Roy Saha Sen"
        ),
    ),
    (
        5,
        (
            "Amandeep Arshdeep Gurpreet Harjot Harleen Harpreet Inderjit Jasleen Jaspreet Karanveer "
            "Kirandeep Lovepreet Manpreet Navjot Prabhjot Ramandeep Simran Sukhmani"
        ),
        "Bedi Dhaliwal Gill Grewal Sandhu Sidhu Singh Sodhi Virk",
    ),
    (
        6,
        (
            "Aamir Afreen Arif Ayesha Danish Faizan Farah Farhan Imran Nazia Rehan Saba Sameer Sana "
            "Shabnam Shahid Tabassum Wasim Zainab Zoya"
        ),
        "Ahmed Ansari Hussain Khan Mirza Pathan Qureshi Shaikh Siddiqui Syed",
    ),
    (
        2,
        ("Alwin Anita Blessy Bryan Elsa Flavia Jerin Jovita Melvin Merlin Neville Rhea Sharon Steffi"),
        "Cherian D'Souza Fernandes George Jacob Mathew Pereira Pinto Rodrigues Thomas Varghese",
    ),
)

# The team: first name, last name, role, lead cap. Those with a cap come last.
TEAM: Sequence[tuple[str, str, str, int | None]] = (
    ("Meenal", "Raghunathan", "company_admin", None),
    ("Rohan", "Kapoor", "manager", None),
    ("Shalini", "Iyer", "manager", None),
    ("Farheen", "Shaikh", "agent", None),
    ("Prateek", "Saxena", "agent", None),
    ("Lakshmi", "Narayanan", "agent", None),
    ("Gurleen", "Bedi", "agent", None),
    ("Sandeep", "Gowda", "agent", None),
    ("Ipsita", "Mohanty", "agent", None),
    ("Harish", "Chandran", "agent", 40),
    ("Nidhi", "Parmar", "agent", 40),
)

# Where enquiries come from, with their share in a hundred.
SOURCES: Mapping[str, int] = {
    "Website form": 27,
    "Facebook lead ad": 21,
    "Google Ads": 17,
    "Instagram": 10,
    "Referral": 9,
    "Webinar": 7,
    "Walk-in": 5,
    "Justdial": 4,
}

# Name, status, start and end in days from today, share in a hundred leads; the last one has no leads yet.
CAMPAIGNS: Sequence[tuple[str, str, int, int | None, int]] = (
    ("Data Analytics – December batch", "active", -34, 12, 30),
    ("Full-Stack Weekend batch", "active", -20, 25, 22),
    ("Diwali early-bird offer", "completed", -58, -15, 20),
    ("Alumni referral drive", "paused", -45, None, 8),
    ("Digital Marketing – January batch", "draft", 7, 60, 0),
)

# Tag and its share in a hundred leads.
TAGS: Mapping[str, int] = {
    "Working professional": 24,
    "Fresher": 20,
    "Wants EMI": 15,
    "Weekend batch": 14,
    "Price sensitive": 9,
    "Hindi": 9,
    "Tamil": 5,
    "Career break": 5,
    "Hot": 8,
    "Corporate": 2,
}

# Each course and its fee in rupees.
PLANS: Sequence[tuple[str, str]] = (
    ("Data Analytics – 6 months", "48500.00"),
    ("Data Analytics – weekend", "42000.00"),
    ("Full-Stack Development – 9 months", "68000.00"),
    ("Digital Marketing – 3 months", "24500.00"),
    ("Python foundation", "11999.00"),
    ("Advanced Excel & Power BI", "8999.00"),
)

# What the caller notes on a call that connected, by the status in which the lead ended.
CALL_NOTES: Mapping[str, Sequence[str]] = {
    "first": (
        "Enquired about fees and duration. Shared the brochure on WhatsApp.",
        "Filled the form yesterday night, wants to know about placements first.",
        "Currently in a BPO, night shift. Best time is after 1 pm.",
        "Final-year B.Com, asked whether a maths background is needed. The first module covers it.",
        "Asked for a demo class link. Sent for Saturday 11 am.",
        "Speaks Hindi comfortably, switch to Hindi from the start next time.",
        "Looking for evening batch only, office till 6:30.",
        "Two years of career gap, wants to restart. Very keen.",
        "Compared our fee with another institute (35k). Explained the mentor hours and the project.",
        "Wants certificate details and whether it counts for the appraisal.",
    ),
    "followups": (
        "Will discuss with parents and confirm. Call after the weekend.",
        "Salary comes on the 1st, will pay the token amount then.",
        "Attended the demo, liked the trainer. Wants to see the EMI plan.",
        "Asked to call back, was driving.",
        "In a meeting, said 'kal shaam ko phone kijiye'.",
        "Travelling to native place for a wedding, back on Monday.",
        "Wants both courses as a combo, asked for the best price. Check with Rohan.",
    ),
    "interested": (
        "Ready to join the weekend batch, waiting for the card limit to reset.",
        "Liked the syllabus, wants to talk to one alumnus. Arranged with a student of the June batch.",
        "Comfortable with the fee at 6 months no-cost EMI. Sent the link for documents.",
        "Visited the centre with a friend. Will book the seat by Friday.",
        "Company may reimburse half, needs a proforma invoice.",
    ),
    "not_interested": (
        "Already joined elsewhere last week.",
        "Fee is too high, not willing to consider EMI.",
        "Was only looking for a free course.",
        "Got a job offer, no time for now. Don't call again.",
        "Form was filled by a younger brother by mistake.",
        "Moving abroad in January.",
    ),
    "customer": (
        "Paid the first instalment by UPI, receipt shared. Welcome mail sent.",
        "Seat booked with 5,000 token. Balance before the batch starts.",
        "Full payment done by net banking, asked for GST invoice in the company's name.",
        "EMI approved, agreement signed. Batch starts on the 8th.",
    ),
    "wrong_number": (
        "Picked up by somebody else, does not know the name.",
        "Number belongs to a shop, says many such calls come.",
    ),
}

# Notes that are written beside calls: on any lead, and on customers.
NOTES: Sequence[str] = (
    "WhatsApp is on the same number, replies fast there.",
    "Please don't call between 2 and 4 pm, takes tuitions then.",
    "Father takes the decision. Be polite and patient.",
    "Shared: brochure, fee structure, EMI calculator, demo link.",
    "Knows Excel well, can skip the foundation module. Promised to ask the academic team.",
    "Laptop has only 4 GB RAM, asked if that is enough. Tech team says yes with the online lab.",
    "Same family as the lead of last month (sister). Offer the sibling discount.",
    "Prefers Tamil. Lakshmi can take the call if needed.",
    "Asked twice for recordings of missed classes. Yes, six months of access.",
    "Lives far from the centre (Whitefield), online only.",
)
CUSTOMER_NOTES: Sequence[str] = (
    "Batch WhatsApp group joined. ID card handed over.",
    "Second instalment due on the 10th, reminder set with accounts.",
    "Referred a colleague, apply the referral credit after the enrolment.",
    "Asked to shift from the morning to the weekend batch; academic team approved.",
    "Very happy with the first class. Ask for a review after the first month.",
)
FOLLOW_UP_NOTES: Sequence[str] = (
    "Call back after 6 pm, in office till then",
    "Confirm demo attendance",
    "Ask about the token amount",
    "Parents' decision",
    "Send EMI papers and explain",
    "Salary day, close the seat",
    "Check whether the brochure was read",
    "Second try, did not pick up",
    "Discuss the weekend batch timing",
    "",
)
